/** JointFile: the same file of several donors as one: each byte from the first that has it. What no single donor can prove, they may prove together. */
import { RangeSet, type BadRange } from "../../base/index.ts";
import type { ReadResult } from "../../device/index.ts";
import type { DonorFile } from "../../donor/index.ts";

/** Files of donors, in the order they are asked. They stay open: who opened them closes them. */
export class JointFile implements DonorFile {
  readonly name: string;
  readonly size: number;
  readonly modifiedNs: bigint;
  readonly #files: readonly DonorFile[];

  /** @param files of one size */
  constructor(files: readonly [DonorFile, ...DonorFile[]]) {
    this.name = files.map(({ name }) => name).join(" and ");
    this.size = files[0].size;
    this.modifiedNs = files[0].modifiedNs;
    this.#files = files;
  }

  async read(into: Uint8Array, offset: number): Promise<ReadResult> {
    let missing: readonly BadRange[] = [{ offset, length: into.length, state: "unread" }];
    for (const file of this.#files) {
      const left: BadRange[] = [];
      for (const hole of missing) {
        const at = hole.offset - offset;
        // Into bytes of its own: what a donor misses may leave anything there, and an earlier one may have filled it.
        const part = new Uint8Array(hole.length);
        const result = await file.read(part, hole.offset);
        for (const clean of RangeSet.from(result.missing).gaps(hole.offset, hole.length))
          into.set(
            part.subarray(clean.offset - hole.offset, clean.offset - hole.offset + clean.length),
            at + clean.offset - hole.offset,
          );
        left.push(...result.missing);
      }
      missing = left;
      if (missing.length === 0) break;
    }
    return { missing };
  }

  close(): void {
    // They belong to whoever opened them.
  }
}
