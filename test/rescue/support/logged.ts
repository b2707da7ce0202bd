/** A damaged image with its list and its log in a modelled machine, and a backup of it: for what happens after a repair. */
import { adoptImage, openDevice } from "../../../src/device/index.ts";
import { openDirectoryDonor, type Donor } from "../../../src/donor/index.ts";
import {
  describeTarget,
  readLog,
  RepairLog,
  type LogRecord,
  type Target,
} from "../../../src/rescue/index.ts";
import { createCrashFiles, type CrashFiles } from "../../../src/testing/index.ts";
import { placeOf, targetOf, temporary, treeImage, writeTree } from "./tree.ts";

/** Where the image is. */
export const IMAGE = "/disk/image";

/** A world with an image, bad at places of its files; a place is a path, an offset and a length. */
export async function loggedWorld(
  places: readonly (readonly [path: string, offset: number, length: number])[],
): Promise<{ files: CrashFiles; donor: Donor; offsets: readonly number[] }> {
  const files = createCrashFiles({ seed: 1 });
  const image = files.open(IMAGE, { access: "create" });
  image.writeSync(treeImage(), 0);
  image.close();
  const device = adoptImage(IMAGE, { files, poisonUnit: 256, clearUnit: 1024 });
  const { map } = await targetOf(device);
  const offsets: number[] = [];
  for (const [path, offset, length] of places) {
    const at = await placeOf(map, path, offset);
    device.inject({ offset: at, length });
    offsets.push(at);
  }
  device.close();
  files.settle();
  const root = temporary();
  writeTree(root);
  return { files, donor: openDirectoryDonor(root), offsets };
}

/** Opens the image and its log, works, and closes both, whatever happens. */
export async function withTarget<Result>(
  files: CrashFiles,
  work: (target: Target, log: RepairLog) => Promise<Result>,
): Promise<Result> {
  const log = new RepairLog(IMAGE, files);
  const device = openDevice(IMAGE, { files, access: "write" });
  try {
    return await work(await describeTarget(device, { path: IMAGE }), log);
  } finally {
    log.close();
    if (!files.crashed) device.close();
  }
}

/** All that the log says. */
export async function recordsOf(files: CrashFiles): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of readLog(files, new RepairLog(IMAGE, files).path)) records.push(record);
  return records;
}

/** The image's bytes on the medium, whatever its list says. */
export function mediumOf(files: CrashFiles): Buffer {
  return contentOf(files, IMAGE);
}

/** The bytes of a file. */
export function contentOf(files: CrashFiles, path: string): Buffer {
  const file = files.open(path);
  const bytes = Buffer.alloc(file.size());
  file.readSync(bytes, 0);
  file.close();
  return bytes;
}
