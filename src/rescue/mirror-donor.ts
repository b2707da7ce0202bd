/**
 * MirrorDonor: the other legs of the mirror that a target is a leg of, as a donor: `repair leg-0.img --from raid.stack`.
 *
 * The stack is opened for reading, and its own view of the target is never asked for data; so it takes no lock on the target, which
 * the repair holds alone.
 */
import { statSync } from "node:fs";
import { imageDonor, type Donor, type DonorTwin, type VolumeSource } from "../donor/index.ts";
import { leavesOf, legTwin, openStack, type LegTwin, type OpenStack } from "../mapper/index.ts";
import { nodeFiles, type HostFiles } from "../os/index.ts";
import { volumesOn } from "./describe-target.ts";

/**
 * Opens the mirror.
 *
 * @param stack a stack file
 * @param target the image that is to be healed
 * @returns `undefined` where the target is no leg of a mirror of the stack
 * @throws {StorageError} as `openStack`
 */
export async function openMirrorDonor(stack: string, target: string): Promise<Donor | undefined> {
  const opened = await openStack(stack, { files: withoutLockOf(target) });
  const leaf = leavesOf(opened.table).find(({ identity }) => isSame(identity.name, target));
  const twin = leaf === undefined ? undefined : legTwin(opened.table, leaf);
  try {
    if (twin !== undefined) return await donorOf(stack, opened, twin);
  } catch (error) {
    await opened.device.close();
    throw error;
  }
  await opened.device.close();
  return undefined;
}

async function donorOf(stack: string, opened: OpenStack, device: LegTwin): Promise<Donor> {
  const inStep: DonorTwin["inStep"] = (range) => {
    const keeper = device.keeperOf(range);
    return keeper === undefined
      ? undefined
      : { by: `a leg of the target's own mirror, in sync here (${keeper})` };
  };
  const volumes: VolumeSource[] = [];
  for (const { offset, length, map } of await volumesOn(device)) {
    if (map === undefined) continue;
    volumes.push({
      device,
      offset,
      length,
      map,
      inStep: (range) => inStep({ offset: offset + range.offset, length: range.length }),
    });
  }
  const close = async (): Promise<void> => await opened.device.close();
  return imageDonor({ name: stack, device, volumes, twin: { device, inStep }, close });
}

/** The machine's files, but the target is opened without a lock. */
function withoutLockOf(target: string): HostFiles {
  return {
    ...nodeFiles,
    open: (path, options) => {
      const { lock: _lock, ...rest } = options ?? {};
      return nodeFiles.open(path, belongsTo(path, target) ? rest : options);
    },
  };
}

/** Whether a file is the target or the list beside it. */
function belongsTo(path: string, target: string): boolean {
  return isSame(path, target) || isSame(path, `${target}.theriac`);
}

function isSame(one: string, other: string): boolean {
  if (one === other) return true;
  const facts = statSync(one, { throwIfNoEntry: false });
  const others = statSync(other, { throwIfNoEntry: false });
  return facts !== undefined && facts.ino === others?.ino && facts.dev === others.dev;
}
