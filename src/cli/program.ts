/**
 * Program: the frame around every command. It parses the command line, loads the one command that was called, runs it,
 * and prints exactly one thing: its text, its document, or its failure.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { COMMANDS, type CommandEntry } from "./command-list.ts";
import type { CommandContext, CommandInput, CommandModule, JsonDocument } from "./command.ts";
import { describeFailure, EXIT_BUG } from "./failure.ts";
import { listenForSignals, type Interruption } from "./interruption.ts";
import { jsonPieces } from "./json.ts";
import { ignoreStreamErrors, writePieces } from "./output.ts";
import { packageRoot } from "./package-root.ts";
import { createProgress, PROGRESS_MODES, type Progress, type ProgressMode } from "./progress.ts";
import { createStyle, printable, wantsColor } from "./style.ts";

const AFTER_HELP = `
IMAGE is a raw file, a whole disk, or one file system.
Offsets and sizes: 4096, 0x1000, 64K, 1.5G, 8s (sectors of 512 bytes).

Exit codes: 0 all is well, 1 data is still missing, 2 wrong usage, 3 could not
do it, 4 refused to do it, 70 a bug of Theriac, 130 or 143 ended by a signal`;

/** What the command line asked for. */
interface Call {
  readonly entry: CommandEntry;
  readonly module: CommandModule;
  readonly input: CommandInput<unknown>;
  readonly json: boolean;
  readonly progress: ProgressMode;
}

/**
 * Runs one command line.
 *
 * @param argv arguments without the program: `["list", "disk.img"]`
 * @returns the exit code; nothing is thrown
 */
export async function runCli(argv: readonly string[]): Promise<number> {
  ignoreStreamErrors(process.stdout);
  ignoreStreamErrors(process.stderr);
  let json = argv.includes("--json") && !argv.includes("--");
  let name = "theriac";
  try {
    const call = await parse(argv);
    json = call.json;
    name = `theriac ${call.entry.name}`;
    return await execute(call);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return await printFailure(error, json, name);
  }
}

/** The end where something failed that nobody awaited: always a bug of ours, so it must not look like exit 1. */
export function endBadly(error: unknown): never {
  const { exitCode, text } = describeFailure(error);
  process.stderr.write(`theriac: ${text}`);
  process.exit(exitCode === 1 ? EXIT_BUG : exitCode);
}

async function printFailure(error: unknown, json: boolean, name: string): Promise<number> {
  const { exitCode, document, text } = describeFailure(error);
  const style = createStyle(wantsColor(process.stderr.isTTY, process.env));
  try {
    if (json) await writePieces(process.stdout, jsonPieces(document));
    else await writePieces(process.stderr, `${style.red(name)}: ${text}`);
  } catch {
    // nobody is left to tell; the exit code still does
  }
  return exitCode;
}

/** Parses the command line. Only the module of the verb that was called is loaded. */
async function parse(argv: readonly string[]): Promise<Call> {
  let out = "";
  const program = new Command("theriac")
    .description("From an I/O error to a healed file.")
    .usage("COMMAND [options]")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", AFTER_HELP)
    .addOption(new Option("--json").hideHelp())
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ writeOut: (text) => (out += text), writeErr: () => {} });
  const words = argv.filter((word) => !word.startsWith("-"));
  const verb = words[0] === "help" ? words[1] : words[0];
  let call: Call | undefined;
  for (const entry of COMMANDS) {
    const command = program.command(entry.name).description(entry.summary);
    if (entry.name !== verb) continue;
    const module = await entry.load();
    addSharedOptions(command, module);
    command.action(() => {
      call = toCall(entry, module, command);
    });
  }
  if (argv.length === 0)
    throw new RangeError(`Want a command: ${COMMANDS.map(({ name }) => name).join(", ")}`);
  try {
    program.parse([...argv], { from: "user" });
  } finally {
    await writePieces(process.stdout, out);
  }
  if (call === undefined) throw new RangeError(`Cannot find command "${verb ?? ""}"`);
  return call;
}

function addSharedOptions(command: Command, module: CommandModule): void {
  module.configure(command);
  command
    .option("--json", "print one JSON document")
    .addOption(
      new Option("--progress <mode>", "how far it is, on stderr")
        .choices(PROGRESS_MODES)
        .default("auto"),
    )
    .allowExcessArguments(false);
}

function toCall(entry: CommandEntry, module: CommandModule, command: Command): Call {
  const values = command.processedArgs as readonly (string | readonly string[] | undefined)[];
  const last = values.at(-1);
  const options = command.optsWithGlobals<{ json?: boolean; progress: ProgressMode }>();
  return {
    entry,
    module,
    input: {
      args: values.map((value) => (typeof value === "string" ? value : "")),
      rest: Array.isArray(last) ? (last as readonly string[]) : [],
      options,
    },
    json: options.json ?? false,
    progress: options.progress,
  };
}

/** Runs a command and prints what it returns. */
async function execute(call: Call): Promise<number> {
  const interruption = listenForSignals();
  const stderrIsTerminal = process.stderr.isTTY;
  const progress = createProgress({
    mode: call.progress,
    isTerminal: stderrIsTerminal,
    color: wantsColor(stderrIsTerminal, process.env),
    columns: process.stderr.columns ?? 80,
    write: (text) => process.stderr.write(text),
  });
  try {
    const result = await call.module.run(createContext(call, interruption, progress), call.input);
    progress.end();
    const pieces = call.json ? jsonPieces(result.document satisfies JsonDocument) : result.text();
    await writePieces(process.stdout, pieces);
    return result.exitCode;
  } finally {
    progress.end();
    interruption.end();
  }
}

function createContext(call: Call, interruption: Interruption, progress: Progress): CommandContext {
  return {
    json: call.json,
    style: createStyle(wantsColor(process.stdout.isTTY, process.env)),
    columns: Math.min(120, Math.max(60, process.stdout.columns ?? 80)),
    progress,
    signal: interruption.signal,
    checkpoint: () => interruption.checkpoint(),
    tell(text) {
      progress.end();
      process.stderr.write(text);
    },
    warn(message) {
      progress.end();
      process.stderr.write(`theriac ${call.entry.name}: warning: ${printable(message)}\n`);
    },
  };
}

/** The version in package.json. */
function version(): string {
  const text = readFileSync(join(packageRoot(), "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
