/**
 * ListSource: somebody who names a device's bad bytes: the kernel, or a program that asks the device.
 *
 * A source that says nothing has not said "clean": a program that is missing, fails or hangs is an answer with its reason, and what it named before stays.
 */
import type { ByteRange } from "../../base/index.ts";
import type { ProgramAnswer, RunProgramOptions } from "../../os/index.ts";

/** What a source said. */
export type SourceAnswer =
  | {
      readonly source: string;
      /** Bad bytes of the device: ascending, apart from each other. */
      readonly ranges: readonly ByteRange[];
      /** Bytes that were cleared, and have no data yet. @default none */
      readonly lost?: readonly ByteRange[];
      /** Bytes of the device, where only its list tells. */
      readonly size?: number;
      /** Whether the list says, or shows, that there is more than it names. */
      readonly incomplete: boolean;
      /** Sentences for people. */
      readonly notes: readonly string[];
    }
  | {
      readonly source: string;
      /** Why it said nothing. */
      readonly why: string;
      /** Whether it cannot say anything here at all: the program is not installed, the device has no such list. */
      readonly absent: boolean;
    };

/** One that can be asked, again and again. */
export interface ListSource {
  /** "kernel", "remembered", "ndctl", "cxl", "nvme get-lba-status", "sg_get_lba_status". */
  readonly name: string;
  /** Asks. Never rejects for what the world does. */
  read(signal?: AbortSignal): Promise<SourceAnswer>;
}

/** The answer of a program that gave no list: what became of it, in a sentence. */
export function noAnswer(source: string, program: string, answer: ProgramAnswer): SourceAnswer {
  const said = answer.stderr.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
  const why = {
    missing: `${program} is not installed`,
    hung: `${program} did not end in time, and was killed`,
    flood: `${program} printed more than a list can be`,
    aborted: `${program} was ended`,
    ended: `${program} ended with ${answer.status}${said === "" ? "" : `: ${said}`}`,
  }[answer.kind];
  return { source, why, absent: answer.kind === "missing" };
}

/** Milliseconds that a program may take for a list: a scan that firmware is at may keep it. */
const LIST_TIMEOUT_MS = 30_000;

/** How a program is run for a list. */
export function limited(signal: AbortSignal | undefined): RunProgramOptions {
  return { timeoutMs: LIST_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
}
