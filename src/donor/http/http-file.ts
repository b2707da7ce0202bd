/** httpFile(): a resource as a file of a donor. */
import type { DonorFile } from "../donor.ts";
import type { HttpResource } from "./http-resource.ts";

/** The resource as a file; closing it ends nothing, because connections are shared. */
export function httpFile(resource: HttpResource): DonorFile {
  const { name, size, modifiedNs } = resource;
  return {
    name,
    size,
    modifiedNs,
    read: (into, offset) => resource.read(into, offset),
    close: () => {},
  };
}
