/**
 * pmem: what the firmware and the driver of an NVDIMM or CXL memory keep and do, over a simulated device. docs/pmem.md names the source of
 * each rule.
 *
 * Promises: the device's own list stays the judge (R1 to R5); nothing here takes a range off it without durable data.
 */
export {
  AddressRangeScrub,
  type ArsCapabilities,
  type ArsOptions,
  type ArsRequest,
  type ArsStatus,
} from "./address-range-scrub.ts";
export { Badrange, type BadrangeOptions } from "./badrange.ts";
export { clearError } from "./clear-error.ts";
export {
  CxlMailbox,
  type CxlMailboxOptions,
  type CxlPoisonList,
  type CxlPoisonRecord,
} from "./cxl-mailbox.ts";
export { DriverBadblocks, type DriverBadblocksOptions } from "./driver-badblocks.ts";
export {
  ErrorInjection,
  type BlockRange,
  type ErrorInjectionOptions,
  type InjectOptions,
} from "./error-injection.ts";
