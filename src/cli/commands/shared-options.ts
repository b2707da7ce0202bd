/** SharedOptions: options that several of the rescue verbs take, said once. */
import { Option, type Command } from "commander";
import { several } from "../arguments.ts";
import type { Trust } from "../../rescue/index.ts";

/** `--poison`. */
export interface PoisonOption {
  readonly poison?: string;
}

/** `--from`, `--trust`, `--free`, `--digest`. */
export interface DonorOptions extends PoisonOption {
  readonly from?: readonly string[];
  readonly trust: Trust;
  readonly free?: boolean;
  readonly digest?: string;
  readonly live?: boolean;
}

/** Adds `--poison FILE`. */
export function addPoisonOption(command: Command): Command {
  return command.option(
    "--poison <file>",
    "list of bad ranges: badblocks, ndctl, cxl or ddrescue mapfile",
  );
}

/** Adds `--live`. */
export function addLiveFlag(command: Command): Command {
  return command.option(
    "--live",
    "the file's own bytes on its mounted file system are meant, and no image in it (default: where the kernel lists damage in it)",
  );
}

/** Adds what a plan is made with. `--from A B` and `--from A --from B` are the same. */
export function addDonorOptions(command: Command): Command {
  return addLiveFlag(addPoisonOption(command))
    .addOption(
      new Option(
        "--from <donor...>",
        "tree, image, copy with ,map=FILE, stack, URL, or PATH=FILE; several are asked in turn",
      ).argParser(several((text) => text)),
    )
    .addOption(
      new Option("--trust <grade>", "least grade that is written")
        .choices(["proven", "consistent", "anything"])
        .default("consistent"),
    )
    .option("--free", "heal free space and unwritten extents with zeros too")
    .option("--digest <file>", "digests taken when all was good (theriac digest)");
}
