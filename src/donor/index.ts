/**
 * donor: where good bytes come from, and what is known of them.
 *
 * Promises: reads only; a donor's own bad bytes are never data (R1); no path leads out of a donor's tree; every use has a grade.
 */
export {
  BLOCK_HASH_BYTES,
  blockHash,
  DIGEST_NAME,
  digestBlockSize,
  findDigests,
  readDigest,
  type FileDigest,
} from "./digest-file.ts";
export { digestTree, type DigestOptions, type DigestResult } from "./digest-tree.ts";
export { components, openDirectoryDonor } from "./directory-donor.ts";
export type { Donor, DonorFile, DonorTwin, DonorVolume, InStep } from "./donor.ts";
export {
  cleanPieces,
  differentVersion,
  EVIDENCE,
  formatTime,
  gradeHole,
  isConstant,
  sameTime,
  type Grade,
  type Pair,
  type ReadableFile,
  type Verdict,
} from "./grade.ts";
export { gradeRaw, type RawPair } from "./grade-raw.ts";
export { gradeTwin } from "./grade-twin.ts";
export { HttpDevice } from "./http/http-device.ts";
export { httpFile } from "./http/http-file.ts";
export type { HttpOptions } from "./http/http-request.ts";
export { openHttpResource, type HttpResource } from "./http/http-resource.ts";
export { httpTreeDonor } from "./http/http-tree.ts";
export { imageDonor, type ImageDonorParts } from "./image-donor.ts";
export { knownLacks, knownVolumeLacks } from "./lacks.ts";
export { bytesToPath, pathToBytes } from "./path-bytes.ts";
export { readOrMissing } from "./read-or-missing.ts";
export { singleFileDonor, type SingleFileParts } from "./single-file-donor.ts";
export { VolumeFile, type FilePiece, type VolumeSource } from "./volume-file.ts";
