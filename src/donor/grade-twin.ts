/**
 * GradeTwin: what the bytes of a leg of the target's own mirror are worth. Its log says where legs are alike; a clean byte beside the hole that
 * differs all the same is stronger, because somebody wrote to one leg alone.
 */
import { endOf, type ByteRange } from "../base/index.ts";
import type { Device } from "../device/index.ts";
import type { DonorTwin, InStep } from "./donor.ts";
import { cleanPieces, EVIDENCE, type Verdict } from "./grade.ts";
import { readOrMissing } from "./read-or-missing.ts";

/** Grades the bytes of a twin for a hole of the target, which may be of any kind. */
export async function gradeTwin(
  pair: { readonly target: Device; readonly twin: DonorTwin },
  hole: ByteRange,
): Promise<Verdict> {
  const step = pair.twin.inStep(hole);
  if (step === undefined)
    return { grade: "refused", reason: "the mirror is not known to be in sync here", compared: 0 };
  return await gradeInStep({ target: pair.target, donor: pair.twin.device }, hole, step);
}

/** The same where the step is known already: bytes of both devices at the same offsets. */
export async function gradeInStep(
  devices: { readonly target: Device; readonly donor: Device },
  hole: ByteRange,
  step: InStep,
): Promise<Verdict> {
  const end = Math.min(devices.target.size, devices.donor.size, endOf(hole) + EVIDENCE);
  const start = Math.max(0, hole.offset - EVIDENCE);
  const ours = new Uint8Array(Math.max(0, end - start));
  const theirs = new Uint8Array(ours.length);
  const missing: ByteRange[] = [
    hole,
    ...(await readOrMissing(devices.target, ours, start)).missing,
    ...(await readOrMissing(devices.donor, theirs, start)).missing,
  ];
  let compared = 0;
  for (const { offset, length } of cleanPieces({ offset: start, length: ours.length }, missing)) {
    compared += length;
    for (let at = offset - start; at < offset - start + length; at += 1) {
      if (ours[at] === theirs[at]) continue;
      const reason = `${step.by}, but it differs at byte ${start + at}: resync the mirror first`;
      return { grade: "refused", reason, compared };
    }
  }
  return { grade: "proven", reason: step.by, compared };
}
