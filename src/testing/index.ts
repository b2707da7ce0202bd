/**
 * testing: exported: the lying disk, fault plans, and one conformance suite per interface.
 *
 * Promises: everything random depends on a seed alone.
 */
export {
  CrashError,
  createCrashFiles,
  type CrashFiles,
  type CrashFilesOptions,
  type CrashOperation,
} from "./crash-files.ts";
export { ModelDevice, type ModelByte, type ModelOptions } from "./model-device.ts";
export { directAccessSuite } from "./direct-access-suite.ts";
export { deviceSuite, type SuiteApi } from "./device-suite.ts";
export { donorSuite } from "./donor-suite.ts";
export type { DonorSubject } from "./donor-suite-context.ts";
export { fileSuite } from "./file-suite.ts";
export type { FileSubject } from "./file-suite-context.ts";
export { targetSuite, type LeafPlace, type TargetSubject } from "./target-suite.ts";
export type { DeviceSubject } from "./device-suite-context.ts";
export {
  applyFaultPlan,
  formatFaultPlan,
  parseFaultPlan,
  randomFaultPlan,
  type FaultPlan,
  type PlannedFault,
  type RandomFaultsOptions,
} from "../device/index.ts";
