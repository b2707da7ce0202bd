/** theriac status: whether an image is served, to whom, and how it is. */
import { formatSize } from "../../base/index.ts";
import type { ServedStatus } from "../../nbd/index.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { openListed } from "../open-listed.ts";
import { serverOf } from "../served-image.ts";
import { printable } from "../style.ts";
import { formatTotals } from "../totals.ts";

/** `theriac status IMAGE` */
export const status: CommandModule = {
  configure(command) {
    command.argument("<image>", "an image or a stack");
  },
  async run(context, { args: [image = ""] }) {
    const server = await serverOf(image);
    const found = server === undefined ? await unserved(image) : await server.status();
    server?.close();
    const served = server !== undefined;
    return {
      exitCode: 0,
      document: { schema: "theriac.status/1", target: image, served, ...found },
      text: () => textOf(context, image, found),
    };
  },
};

/** What can be told of an image that nobody serves. */
type Status = Pick<ServedStatus, "size" | "totals"> & Partial<ServedStatus>;

async function unserved(image: string): Promise<Status> {
  const { device } = await openListed(image, { access: "read" });
  const found = { size: device.size, totals: device.poison.totals() };
  await device.close();
  return found;
}

function* textOf(context: CommandContext, image: string, found: Status): Generator<string> {
  const { pid, uris = [], clients = [], clientsSoFar = 0, readOnly } = found;
  if (pid === undefined) yield `${printable(image)}: ${formatSize(found.size)}, not served\n`;
  else {
    const access = readOnly === true ? "for reading" : "for writing";
    yield `${printable(image)}: ${formatSize(found.size)}, served ${access} by process ${pid}\n`;
  }
  for (const uri of uris) yield `${printable(uri)}\n`;
  if (pid !== undefined) yield `${clients.length} clients now, ${clientsSoFar} so far\n`;
  for (const client of clients)
    yield `  ${printable(client.export ?? "")}: ${client.requests} requests, ${client.underWay} under way\n`;
  yield formatTotals(found.totals, context.style);
}
