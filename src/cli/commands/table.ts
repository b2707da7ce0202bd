/** theriac table: what of a stack maps where; one address, down through every level to the images and back up; or the stack that disks make. */
import { SECTOR, formatSize } from "../../base/index.ts";
import type { Capabilities, Device } from "../../device/index.ts";
import {
  addressesAbove,
  findVolumes,
  formatRow,
  formatStack,
  openStack,
  tablesOf,
  walkDown,
  type MappedDevice,
  type Target,
  type WalkStep,
} from "../../mapper/index.ts";
import { sizeArgument } from "../arguments.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";
import { printable, stateColor } from "../style.ts";
import { formatTotals } from "../totals.ts";

interface TableOptions {
  readonly at?: number;
  readonly from?: readonly string[];
}

/** `theriac table FILE [--at OFFSET]`, `theriac table --from IMAGE...` */
export const table: CommandModule<TableOptions> = {
  configure(command) {
    command
      .argument("[file]", "a stack file")
      .option("--at <offset>", "walk one address down to the images and back up", sizeArgument)
      .option("--from <images...>", "print the stack that LVM2 and md volumes on images make");
  },
  async run(context, { args: [file = ""], options }) {
    const { at, from } = options;
    if ((file === "") === (from === undefined) || (from !== undefined && at !== undefined))
      throw new TypeError(
        "Cannot show a table: want a stack file, with --at or without, or --from with images",
      );
    if (from !== undefined) return await stackFrom(from);
    const { device, table: top, notes } = await openStack(file);
    try {
      if (at !== undefined && at >= device.size)
        throw new RangeError(`Cannot use --at: want an offset below ${device.size}: got ${at}`);
      const walk = at === undefined ? undefined : walkDown(top, at);
      const tables = tablesOf(top);
      const up = walk === undefined ? undefined : wayUp(top, walk);
      const totals = device.poison.totals();
      const { capabilities } = device;
      const text =
        walk === undefined
          ? [...tableLines(tables, context), abilities(capabilities, device.direct !== undefined)]
          : [...walkLines(walk, context), ...upLines(up ?? [])];
      return {
        exitCode: 0,
        document: {
          schema: "theriac.table/1",
          target: file,
          totals,
          capabilities,
          notes,
          tables: tables.map((one) => tableOf(one)),
          at: walk === undefined ? undefined : { ...stepOf(walk), up },
        },
        text: () =>
          `${text.join("")}${notes.map((note) => `note: ${printable(note)}\n`).join("")}${formatTotals(totals, context.style)}`,
      };
    } finally {
      await device.close();
    }
  },
};

/** The stack that images make, as a file to save: what is not used stands in comments. */
async function stackFrom(images: readonly string[]): Promise<CommandResult> {
  const { text, notes } = await findVolumes(images);
  const stack = formatStack(text);
  const comments = notes.map((note) => `# ${printable(note)}\n`).join("");
  return {
    exitCode: 0,
    document: { schema: "theriac.stack/1", images, stack, notes },
    text: () => `${comments}${stack}`,
  };
}

function tableOf(one: MappedDevice): object {
  return {
    name: one.identity.name,
    size: one.size,
    rows: one.rows.map(({ row, begin, length, target }) => ({
      line: row.line,
      offset: begin,
      length,
      type: row.type,
      args: row.args,
      status: statusOf(target),
      areas: target.areas.map(({ device, offset, length: bytes }) => ({
        device: device.identity.name,
        offset,
        length: bytes,
      })),
    })),
  };
}

/** What `dmsetup status` says of a target that has more to say than its name. */
function statusOf(target: Target): string | undefined {
  const status = target.kind === "device" ? target.status?.() : undefined;
  return status === "" ? undefined : status;
}

/** Each table as dmsetup prints it, and under each row where its bytes are, in bytes. */
function* tableLines(
  tables: readonly MappedDevice[],
  { style }: CommandContext,
): Generator<string> {
  for (const one of tables) {
    yield `${style.bold(printable(one.identity.name))}  ${formatSize(one.size)}\n`;
    for (const { row, target } of one.rows) {
      yield `  ${printable(formatRow(row))}\n`;
      for (const { device, offset, length } of target.areas)
        yield `    ${printable(device.identity.name)} ${offset} to ${offset + length}\n`;
      const status = statusOf(target);
      if (status !== undefined) yield `    status: ${printable(status)}\n`;
    }
  }
}

function abilities(capabilities: Capabilities, isDirect: boolean): string {
  const { poisonUnit, clearUnit, pageSize, clear, recovers } = capabilities;
  const access = isDirect ? "yes" : "no";
  return `poison unit ${poisonUnit}, clear unit ${clearUnit}, page ${pageSize}, clear ${clear}, recovery ${recovers ? "yes" : "no"}, direct access ${access}\n`;
}

/** One level a line, deeper ones further in: device, offset, state, and the row that leads on. */
function* walkLines(step: WalkStep, context: CommandContext, depth = 0): Generator<string> {
  const { style } = context;
  const { device, offset, state, row, leg } = step;
  const by =
    row === undefined
      ? ""
      : `  line ${row.line}: ${row.type}${leg === undefined ? "" : ` leg ${leg}`}`;
  const sector = `sector ${Math.floor(offset / SECTOR)}`;
  const place = `${printable(device.identity.name)} ${offset} (${sector})`;
  yield `${"  ".repeat(depth)}${place} ${stateColor(style, state)(state)}${by}\n`;
  for (const below of step.below) yield* walkLines(below, context, depth + 1);
}

/** One leaf's byte, and the addresses at which it shows. */
interface WayUp {
  readonly device: string;
  readonly offset: number;
  readonly addresses: readonly number[];
}

function wayUp(top: Device, walk: WalkStep): WayUp[] {
  if (walk.below.length > 0) return walk.below.flatMap((step) => wayUp(top, step));
  if (walk.row !== undefined) return [];
  const { device, offset } = walk;
  return [{ device: device.identity.name, offset, addresses: addressesAbove(top, walk) }];
}

function upLines(up: readonly WayUp[]): string[] {
  return up.map(
    ({ device, offset, addresses }) =>
      `up: ${printable(device)} ${offset} shows at ${addresses.join(", ")}\n`,
  );
}

function stepOf(step: WalkStep): object {
  const { device, offset, state, row, leg, below } = step;
  return {
    device: device.identity.name,
    offset,
    state,
    ...(row === undefined ? {} : { line: row.line, type: row.type }),
    ...(leg === undefined ? {} : { leg }),
    below: below.map((one) => stepOf(one)),
  };
}
