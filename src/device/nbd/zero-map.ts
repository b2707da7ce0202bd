/**
 * ZeroMap: which parts of an export a scan may pass over, because the server says that they read as zeros. Answers are there already or they are none:
 * the first question about a region sends for it, and a change of ours takes back what is known.
 */
import { endOf, RangeSet, type ByteRange } from "../../base/index.ts";
import { zerosOf, type BlockStatuses } from "./block-status.ts";

/** Ranges that are kept; then all is forgotten, and asked again where it is wanted. */
const ZEROS_MAX = 1_000_000;

/** What is known of zeros. */
export class ZeroMap {
  readonly #size: number;
  readonly #ask: (range: ByteRange) => Promise<BlockStatuses>;
  readonly #zeros = new RangeSet();
  readonly #known = new RangeSet();
  #changes = 0;
  #asking: number | undefined;

  /** @param ask the server's status of a range */
  constructor(size: number, ask: (range: ByteRange) => Promise<BlockStatuses>) {
    this.#size = size;
    this.#ask = ask;
  }

  /** Bytes from `offset` on that read as zeros; 0 where that is not known, or not yet. */
  from(offset: number): number {
    if (offset >= this.#size) return 0;
    const [zero] = this.#zeros.within(offset, this.#size - offset);
    const length = zero?.offset === offset ? zero.length : 0;
    const [gap] = this.#known.gaps(offset, this.#size - offset);
    // What comes next is sent for while this is worked on.
    if (gap !== undefined && gap.offset <= offset + length) void this.#send(gap.offset);
    return length;
  }

  async #send(offset: number): Promise<void> {
    if (this.#asking !== undefined) return;
    this.#asking = offset;
    const changes = this.#changes;
    try {
      const statuses = await this.#ask({ offset, length: this.#size - offset });
      if (changes === this.#changes) this.note(statuses);
    } catch {
      // Nothing is passed over then; the reads that follow tell what is wrong.
      this.#known.add(offset, this.#size - offset);
    } finally {
      this.#asking = undefined;
    }
  }

  /** Takes what a server says. Where it says nothing, there is nothing to ask again. */
  note(statuses: BlockStatuses): void {
    const { known, zeros } = zerosOf(statuses);
    if (known.length === 0) {
      this.#known.add(0, this.#size);
      return;
    }
    if (this.#zeros.size > ZEROS_MAX) {
      this.#zeros.clear();
      this.#known.clear();
    }
    this.#known.add(known.offset, known.length);
    for (const { offset, length } of zeros) this.#zeros.add(offset, length);
  }

  /** Notes that a range changes, or that nothing is certain any more. */
  touch(range: ByteRange): void {
    this.#changes += 1;
    if (range.length > 0 && this.#zeros.intersects(range.offset, endOf(range) - range.offset))
      this.#zeros.delete(range.offset, range.length);
  }
}
