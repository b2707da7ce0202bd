/**
 * device: where bytes live and go bad. The contract, and the memory, file and simulated devices that fulfil it.
 *
 * Promises R1 to R6 at every device, whoever calls. Stands on base, os and poison.
 */
export { checkedDevice } from "./checked-device.ts";
export type { DeviceEvent } from "./careful-read.ts";
export {
  COMPLETE,
  recoversIn,
  thoroughMode,
  type AccessMode,
  type Capabilities,
  type ClearKind,
  type Device,
  type DeviceIdentity,
  type HealWrite,
  type ManagedDevice,
  type ReadResult,
} from "./device.ts";
export type { DirectAccess } from "./direct-access.ts";
export {
  applyFaultPlan,
  FAULT_KINDS,
  formatFaultPlan,
  parseFaultPlan,
  randomFaultPlan,
  type FaultPlan,
  type PlannedFault,
  type RandomFaultsOptions,
} from "./fault-plan.ts";
export { CLEAR_KINDS, type ImageSettings } from "./image-settings.ts";
export { LiveDevice, openLiveDevice, type OpenLiveOptions } from "./live-device.ts";
export { MediaDevice, type MediaDeviceOptions } from "./media-device.ts";
export type { Faults, Media, MediaMemory } from "./media.ts";
export {
  adoptImage,
  createImage,
  openDevice,
  takeList,
  type AdoptImageOptions,
  type CreateImageOptions,
  type OpenDeviceOptions,
} from "./open-device.ts";
export { PageStates } from "./page-states.ts";
export { openSegment, createSegment, type OpenSegmentOptions } from "./segment-device.ts";
export { createWindow, openWindow, type OpenWindowOptions } from "./window-device.ts";
export type { NoRecoveryDevice } from "./no-recovery-device.ts";
export {
  AddressRangeScrub,
  Badrange,
  clearError,
  CxlMailbox,
  DriverBadblocks,
  ErrorInjection,
  type ArsCapabilities,
  type ArsOptions,
  type ArsRequest,
  type ArsStatus,
  type BadrangeOptions,
  type BlockRange,
  type CxlMailboxOptions,
  type CxlPoisonList,
  type CxlPoisonRecord,
  type DriverBadblocksOptions,
  type ErrorInjectionOptions,
  type InjectOptions,
} from "./pmem/index.ts";
export { skippable } from "./hole.ts";
export { InFlight } from "./in-flight.ts";
export { scrub, type ScrubOptions, type ScrubResult } from "./scrub.ts";
export {
  createMemoryDevice,
  SimulatedDevice,
  type FaultyDevice,
  type MemoryDeviceOptions,
  type SimulatedDeviceOptions,
} from "./simulated-device.ts";
export { sliceDevice } from "./slice-device.ts";
