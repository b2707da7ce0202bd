/** LiveOption: what commands ask where a target is a real device, or a file on one: whether it is meant, and whether it may be written. */
import { createInterface } from "node:readline/promises";
import { Readable, Writable } from "node:stream";
import type { Command } from "commander";
import { StorageError } from "../../base/index.ts";
import { nodeFiles } from "../../os/index.ts";
import { openTarget, type Target, type TargetOptions } from "../../rescue/index.ts";
import { addLiveFlag, addPoisonOption, type PoisonOption } from "./shared-options.ts";

/** `--poison` and `--live`. */
export interface LiveOption extends PoisonOption {
  readonly live?: boolean;
}

/** What `--yes` means, in the help. */
export const YES: string = "write to a real device, or a file on one, without asking";

/** Adds `--poison FILE` and `--live`. */
export function addLiveOption(command: Command): Command {
  return addLiveFlag(addPoisonOption(command));
}

/** Opens the target of a command. @throws {StorageError} as `openTarget` */
export async function openChosen(
  image: string,
  options: LiveOption,
  access: NonNullable<TargetOptions["access"]> = "read",
): Promise<Target> {
  const { poison, live } = options;
  return await openTarget(image, {
    access,
    ...(poison === undefined ? {} : { poison }),
    ...(live === undefined ? {} : { live }),
  });
}

/** Where a question is asked. */
export interface Terminal {
  readonly input: Readable;
  readonly output: Writable;
  /** Whether a person sits there. */
  readonly isTerminal: boolean;
}

/**
 * Asks before the first write to a real device, or to a file on one. An image is no question.
 *
 * @throws {StorageError} ECANCELED where the answer is not yes, or nobody can be asked
 */
export async function confirmWrites(
  target: Target,
  options: { readonly yes?: boolean },
  terminal: Terminal = ownTerminal(),
): Promise<void> {
  if (target.live === undefined || options.yes === true) return;
  const what = target.live.file === undefined ? "a real device" : "a file of a live machine";
  const refuse = (why: string): never => {
    throw new StorageError("ECANCELED", `Refused to write to ${target.path}: ${why}`, {
      path: target.path,
      syscall: "write",
    });
  };
  if (!terminal.isTerminal) refuse(`it is ${what}: want --yes, because nobody can be asked here`);
  const { poisoned, lost } = target.device.poison.totals();
  const lines = createInterface({ input: terminal.input, output: terminal.output });
  try {
    const answer = await lines.question(
      `${target.path} is ${what}: ${poisoned + lost} bytes of it are bad, and are to be written in place. Go on? [y/N] `,
    );
    if (!/^y(es)?$/i.test(answer.trim())) refuse("the answer was not yes");
  } finally {
    lines.close();
  }
}

function ownTerminal(): Terminal {
  const { stdin, stderr } = process;
  return { input: stdin, output: stderr, isTerminal: stdin.isTTY && stderr.isTTY };
}

/** Names of donors for a target: where that is one file, a regular file of the same size is a copy of it. */
export function donorNames(target: Target, names: readonly string[]): readonly string[] {
  const file = target.live?.file;
  if (file === undefined) return names;
  const size = nodeFiles.info(target.path)?.size;
  return names.map((name) => {
    const info = nodeFiles.info(name);
    return info?.kind === "file" && info.size === size ? `${file}=${name}` : name;
  });
}
