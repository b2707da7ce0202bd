/**
 * device: where bytes live and go bad. The contract, and the memory, file and simulated devices that fulfil it.
 *
 * Promises R1 to R6 at every device, whoever calls. Stands on base, os and poison.
 */
export {
  COMPLETE,
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
