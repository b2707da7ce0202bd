/** theriac message: a message to a target of a stack, as `dmsetup message` sends it. */
import { StorageError } from "../../base/index.ts";
import {
  openStack,
  sendMessage,
  tablesOf,
  type MappedDevice,
  type OpenStack,
} from "../../mapper/index.ts";
import type { CommandModule } from "../command.ts";
import { printable } from "../style.ts";

/** `theriac message FILE TABLE SECTOR WORD...` */
export const message: CommandModule = {
  configure(command) {
    command
      .argument("<file>", "a stack file")
      .argument("<table>", "the name of a table in it")
      .argument("<sector>", "any sector of the row: 0 where the table has one")
      .argument("<words...>", "the message");
  },
  async run(context, { args: [file = "", name = "", sector = ""], rest }) {
    if (!/^\d{1,15}$/.test(sector))
      throw new RangeError(`Cannot send message: want a sector from 0 up: got "${sector}"`);
    const stack = await openStack(file, { access: "write" });
    try {
      const table = tableCalled(stack, name, file);
      const words = rest.flatMap((word) => word.split(/\s+/).filter((part) => part !== ""));
      const { reply, log } = await sendMessage(table, { sector: Number(sector), words });
      for (const line of log) context.tell(`${printable(line)}\n`);
      return {
        exitCode: 0,
        document: {
          schema: "theriac.message/1",
          target: file,
          table: name,
          sector: Number(sector),
          message: words,
          reply,
          log,
        },
        text: () => (reply === undefined || reply.endsWith("\n") ? (reply ?? "") : `${reply}\n`),
      };
    } finally {
      await stack.device.close();
    }
  },
};

/** A table by the name that the stack file gives it. @throws {StorageError} ENXIO */
function tableCalled(
  { table, name: topName }: OpenStack,
  name: string,
  file: string,
): MappedDevice {
  const [, ...others] = tablesOf(table);
  const found = name === topName ? table : others.find((one) => one.identity.name === name);
  if (found !== undefined) return found;
  const names = [topName, ...others.map((one) => one.identity.name)].join(", ");
  throw new StorageError(
    "ENXIO",
    `Cannot send message: want a table of ${file}, as ${names}: got "${name}"`,
    { path: file },
  );
}
