/** SingleFileDonor: one file of the target from one place, `/etc/hosts=PLACE`: a copy that stands nowhere near a tree. */
import type { Donor, DonorFile } from "./donor.ts";

/** What such a donor is made of. */
export interface SingleFileParts {
  /** As the user gave it. */
  readonly name: string;
  /** The target's path that the bytes are of. */
  readonly path: string;
  /** The bytes; closed with the donor. */
  readonly file: DonorFile;
}

/** Makes the donor. */
export function singleFileDonor(parts: SingleFileParts): Donor {
  const { name, path, file } = parts;
  return {
    name,
    kind: "directory",
    // closed by the donor: it may be asked for again
    file: (asked) => (asked === path ? { ...viewOf(file), close: () => {} } : undefined),
    volume: () => undefined,
    close: () => file.close(),
  };
}

function viewOf(file: DonorFile): DonorFile {
  return {
    name: file.name,
    size: file.size,
    modifiedNs: file.modifiedNs,
    read: (into, offset) => file.read(into, offset),
    ...(file.lacks === undefined ? {} : { lacks: (range) => file.lacks?.(range) ?? [] }),
    close: () => file.close(),
  };
}
