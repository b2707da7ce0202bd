/**
 * theriac: from an I/O error to a healed file.
 *
 * This is the front page of the library; each layer is a subpath of its own (`theriac/device`, `theriac/fs`, `theriac/testing`).
 *
 *     import { openTarget, survey } from "theriac";
 *
 *     const target = await openTarget("disk.img");
 *     const { damage } = await survey(target);
 *     for (const { offset, length, owners } of damage) console.log(offset, length, owners);
 *     await target.close();
 */
export {
  MediaError,
  RangeSet,
  StorageError,
  type BadRange,
  type ByteRange,
  type ErrorCode,
  type ProgressEvent,
  type ProgressListener,
} from "./base/index.ts";
export {
  createImage,
  createMemoryDevice,
  openDevice,
  type Capabilities,
  type Device,
  type ManagedDevice,
  type ReadResult,
} from "./device/index.ts";
export type { Donor, DonorFile, Grade } from "./donor/index.ts";
export { openFileMap, type FileMap, type OwnedRange, type Owner } from "./fs/index.ts";
export type { PoisonState, PoisonTotals, PoisonView } from "./poison/index.ts";
export {
  applyPlan,
  makePlan,
  openDonor,
  openTarget,
  readPlan,
  repair,
  salvage,
  scan,
  survey,
  verify,
  type Plan,
  type Survey,
  type Target,
} from "./rescue/index.ts";
