/** sendMessage(): a message to a target of a table, as `dmsetup message DEVICE SECTOR MESSAGE` sends it. */
import { SECTOR, StorageError, type MaybePromise } from "../base/index.ts";
import type { MappedDevice } from "./mapped-device.ts";
import type { MessageAnswer } from "./target.ts";

/** What is sent where. */
export interface TableMessage {
  /** Any sector of the row. */
  readonly sector: number;
  /** The message, split at spaces. */
  readonly words: readonly string[];
}

/**
 * Sends a message.
 *
 * @throws {StorageError} EINVAL if there is no such sector, no message, or a target that takes none; what the target throws
 */
export function sendMessage(
  table: MappedDevice,
  { sector, words }: TableMessage,
): MaybePromise<MessageAnswer> {
  const at = sector * SECTOR;
  const row = table.rows.find(({ begin, length }) => begin <= at && at < begin + length);
  if (row === undefined)
    throw refusal(
      table,
      `Target message sector outside device: want one below ${table.size / SECTOR}: got ${sector}`,
    );
  if (words.length === 0) throw refusal(table, "Empty message");
  const { target } = row;
  if (target.kind === "map" || target.message === undefined)
    throw refusal(table, `Target type does not support messages: got ${target.type}`);
  return target.message(words);
}

function refusal(table: MappedDevice, wish: string): StorageError {
  const { name } = table.identity;
  return new StorageError("EINVAL", `Cannot send message to ${name}: ${wish}`, {
    path: name,
    syscall: "message",
  });
}
