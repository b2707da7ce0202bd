/** faulty: devices that can be told to fail: simulated images, and what stands on nothing else. */
import { StorageError } from "../base/index.ts";
import { SimulatedDevice, type Device, type FaultyDevice } from "../device/index.ts";

/** Whether a device can be told to fail. */
export function canFail(device: Device): boolean {
  return device instanceof SimulatedDevice || ("canFail" in device && device.canFail === true);
}

/** The device as one that can. @throws {StorageError} EOPNOTSUPP */
export function faulty(device: Device): FaultyDevice {
  if (isFaulty(device)) return device;
  const { name } = device.identity;
  throw new StorageError("EOPNOTSUPP", `Cannot inject into ${name}: it is no simulated image`, {
    path: name,
    syscall: "inject",
  });
}

/** Whether it can, for the compiler too. */
export function isFaulty<Any extends Device>(device: Any): device is Any & FaultyDevice {
  return canFail(device) && "inject" in device && "setFault" in device;
}
