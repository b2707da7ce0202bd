/** pieces-stack: a file in several extents, with holes and unwritten ones, apart from each other on simulated pmem. */
import { createMemoryDevice } from "../../src/device/index.ts";
import { ExtentTable, type FileExtent } from "../../src/dax/index.ts";
import { OpenedFile } from "../../src/file/opened-file.ts";
import { openedOn, PAGE, UNITS, type Opened, type Piece, type Wanted } from "./stack.ts";

interface Run extends Piece {
  readonly isWritten: boolean;
}

/** Opens a file whose pages lie as a trace says. */
export async function openInPieces(
  { size, clearLimit }: Wanted,
  extents: NonNullable<Wanted["extents"]>,
): Promise<Opened> {
  // A page between any two, so that none continues the one before on the device.
  const runs = extents.map(([first, pages, kind], index): Run => ({
    file: first * PAGE,
    device: (first + index) * PAGE,
    length: pages * PAGE,
    isWritten: kind === "w",
  }));
  const last = runs.at(-1);
  const bytes = new Uint8Array(last === undefined ? PAGE : last.device + last.length);
  const device = createMemoryDevice({ ...UNITS, bytes, clearLimit });
  const place = {
    name: "file",
    size,
    extents: tableOf(runs, size),
    isDevice: false,
    frozen: undefined,
  };
  const file = new OpenedFile({
    device,
    place,
    face: "dax",
    mode: "access",
    cursor: { position: 0 },
  });
  const runAt = (offset: number): Run => {
    const run = runs.find((one) => offset >= one.file && offset < one.file + one.length);
    if (run === undefined) throw new Error(`want no poison in a hole: got offset ${offset}`);
    return run;
  };
  return openedOn({
    device,
    file,
    pieces: runs,
    leaf: (offset) => {
      const run = runAt(offset);
      return { device, offset: run.device + offset - run.file };
    },
    setContent: (content) => {
      for (const run of runs)
        if (run.isWritten) bytes.set(content.subarray(run.file, run.file + run.length), run.device);
    },
  });
}

function tableOf(runs: readonly Run[], size: number): ExtentTable {
  const extents: FileExtent[] = [];
  let at = 0;
  const holeUpTo = (end: number): void => {
    if (end > at) extents.push({ offset: at, length: end - at, kind: "hole" });
    at = Math.max(at, end);
  };
  for (const run of runs) {
    holeUpTo(run.file);
    const kind = run.isWritten ? "data" : "unwritten";
    extents.push({ offset: run.file, length: run.length, kind, device: run.device });
    at = run.file + run.length;
  }
  holeUpTo(size);
  return new ExtentTable(extents);
}
