/** The numbers of the protocol, and how failures of ours become its errors. */
import { describe, expect, test } from "vitest";
import {
  NBD_COMMAND_FLAG,
  NBD_ERROR,
  NBD_EXPORT,
  NBD_MAGIC,
  nbdErrorName,
  nbdErrorOf,
} from "../../../src/device/index.ts";

describe("NBD_MAGIC", () => {
  test("spells the words of the handshake", () => {
    const text = [...NBD_MAGIC.INIT, ...NBD_MAGIC.OPTION].map((word) =>
      Buffer.from(word.toString(16).padStart(8, "0"), "hex").toString("latin1"),
    );
    expect(text.join("")).toBe("NBDMAGICIHAVEOPT");
  });
});

describe("NBD_EXPORT", () => {
  test("has the bits that the specification numbers", () => {
    expect(NBD_EXPORT.CAN_MULTI_CONN).toBe(0x100);
    expect(NBD_EXPORT.SEND_FAST_ZERO).toBe(0x800);
    expect(NBD_COMMAND_FLAG.PAYLOAD_LEN).toBe(0x20);
  });
});

describe("nbdErrorName()", () => {
  test("gives the name of a number, and EINVAL for one that the specification has not", () => {
    expect(nbdErrorName(5)).toBe("EIO");
    expect(nbdErrorName(108)).toBe("ESHUTDOWN");
    expect(nbdErrorName(61)).toBe("EINVAL");
  });
});

describe("nbdErrorOf()", () => {
  test("tells a client of permissions, arguments and full disks, and of all else as EIO", () => {
    const codes = ["EACCES", "EOPNOTSUPP", "ENOSPC", "EIO", "EBUSY", "ESTALE"] as const;
    expect(codes.map(nbdErrorOf)).toEqual([
      NBD_ERROR.EPERM,
      NBD_ERROR.EINVAL,
      NBD_ERROR.ENOSPC,
      NBD_ERROR.EIO,
      NBD_ERROR.EIO,
      NBD_ERROR.EIO,
    ]);
  });
});
