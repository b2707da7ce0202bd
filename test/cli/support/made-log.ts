/** made-log: a small log of dm-log-writes as a file. */
import { writeFileSync } from "node:fs";
import { createMemoryDevice, type HealWrite } from "../../../src/device/index.ts";
import { activateRows, loadTable, mappedDevice, parseTable } from "../../../src/mapper/index.ts";

/** Logs writes of a device of 1 MiB, each with a flush behind it, and the mark that ends a session. */
export async function makeLog(path: string, writes: readonly HealWrite[]): Promise<void> {
  const data = createMemoryDevice({ size: 1024 * 1024 });
  const bytes = new Uint8Array(65_536);
  const log = createMemoryDevice({ bytes });
  const rows = loadTable(parseTable("0 2048 log-writes data log", path), {
    path,
    lookup: (word) => (word === "data" ? data : log),
  });
  await activateRows(rows);
  const table = mappedDevice(rows, { name: "t" });
  for (const { offset, data: content } of writes) {
    await table.write(content, offset);
    await table.flush();
  }
  await table.close();
  writeFileSync(path, bytes);
}
