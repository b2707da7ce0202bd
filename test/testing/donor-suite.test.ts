/** The contract of a donor, over every donor there is, and over some that break it. */
import {
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { imageDonor, openDirectoryDonor, type Donor } from "../../src/donor/index.ts";
import { openDonor } from "../../src/rescue/index.ts";
import { donorSuite, type DonorSubject } from "../../src/testing/index.ts";
import { MODIFIED_DATE, startServer } from "../donor/support/web-server.ts";
import {
  FILES,
  memoryTarget,
  MODIFIED,
  placeOf,
  removeTemporary,
  temporary,
  treeImage,
  writeTree,
} from "../rescue/support/tree.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);

const PATH = "/docs/archive.bin";
const CONTENT = FILES.get(PATH) as Uint8Array;

afterEach(() => removeTemporary());

function directory(): DonorSubject {
  const root = temporary();
  const tree = join(root, "tree");
  mkdirSync(tree);
  writeTree(tree);
  writeFileSync(join(root, "secret"), "secret");
  const full = join(tree, PATH);
  return {
    donor: openDirectoryDonor(tree),
    path: PATH,
    content: CONTENT,
    modifiedNs: statSync(full, { bigint: true }).mtimeNs,
    outside: "/../secret",
    shrink: (size) => truncateSync(full, size),
    replace: () => {
      writeFileSync(`${full}.new`, CONTENT.toReversed());
      renameSync(`${full}.new`, full);
    },
    vanish: () => rmSync(tree, { recursive: true }),
  };
}

/** The same, but what replaces it is written into the open file. */
function overwritten(): DonorSubject {
  const subject = directory();
  const full = join(subject.donor.name, PATH);
  return {
    ...subject,
    replace: () => {
      const file = openSync(full, "r+");
      writeSync(file, CONTENT.toReversed(), 0, CONTENT.length, 0);
      closeSync(file);
    },
  };
}

async function image(): Promise<DonorSubject> {
  const target = await memoryTarget(treeImage());
  const { device, map } = target;
  const volumes = [{ device, offset: 0, length: device.size, map }];
  const info = await map.info((await map.lookup(PATH)) ?? -1);
  return {
    donor: imageDonor({ name: "tree.img", device, volumes, close: () => device.close() }),
    path: PATH,
    content: CONTENT,
    modifiedNs: info?.modifiedNs ?? 0n,
    uuid: map.uuid,
    knowsSpoiled: true,
    spoil: async ({ offset, length }) => {
      for (let at = offset; at < offset + length; at += 512)
        device.inject({ offset: await placeOf(map, PATH, at), length: 512 });
    },
  };
}

/** A server with the tree, and with an image of it. */
async function served(kind: "tree" | "image" | "one"): Promise<DonorSubject> {
  const etag = '"one"';
  const modified = MODIFIED_DATE;
  const web = await startServer([
    [`/tree${PATH}`, { content: CONTENT, etag, modified }],
    ["/secret", { content: Buffer.from("secret"), etag, modified }],
    ["/tree.img", { content: treeImage(), etag, modified }],
  ]);
  const name = {
    tree: `${web.url}/tree/`,
    image: `${web.url}/tree.img`,
    one: `${PATH}=${web.url}/tree${PATH}`,
  }[kind];
  const place = kind === "image" ? "/tree.img" : `/tree${PATH}`;
  const donor = await openDonor(name);
  const { map } = await memoryTarget(treeImage());
  return {
    donor,
    path: PATH,
    content: CONTENT,
    modifiedNs: BigInt(MODIFIED) * 1_000_000_000n,
    outside: "/../secret",
    ...(kind === "image" ? { uuid: map.uuid } : {}),
    shrink: (size) =>
      void web.files.set(place, { content: CONTENT.slice(0, size), etag: '"two"', modified }),
    replace: () =>
      void web.files.set(place, { content: CONTENT.toReversed(), etag: '"two"', modified }),
    vanish: async () => {
      await web.end();
    },
    dispose: async () => {
      await web.end();
    },
  };
}

donorSuite({ describe, test }, "tree on a web server", { seed, make: () => served("tree") });
donorSuite({ describe, test }, "image on a web server", { seed, make: () => served("image") });
donorSuite({ describe, test }, "one file on a web server", { seed, make: () => served("one") });
donorSuite({ describe, test }, "directory", { seed, make: directory });
donorSuite({ describe, test }, "directory that is written to", { seed, make: overwritten });
donorSuite({ describe, test }, "image in memory", { seed, make: image });

/** Runs the suite over a donor; gives the titles of what it did not pass. */
async function failures(make: () => Promise<DonorSubject>): Promise<string[]> {
  const failed: string[] = [];
  const bodies: { title: string; body: () => Promise<void> }[] = [];
  const api = {
    describe: (_: string, body: () => void) => body(),
    test: (title: string, body: () => Promise<void>) => bodies.push({ title, body }),
  };
  donorSuite(api, "broken", { make });
  for (const { title, body } of bodies) await body().catch(() => failed.push(title));
  return failed;
}

/** A donor whose files answer as a liar would. */
function lying(
  subject: DonorSubject,
  lie: Partial<Awaited<ReturnType<Donor["file"]>>>,
): DonorSubject {
  const { donor } = subject;
  const wrapped: Donor = {
    name: donor.name,
    kind: donor.kind,
    file: async (path, uuid) => {
      const file = await donor.file(path, uuid);
      if (file === undefined) return undefined;
      return {
        name: file.name,
        size: file.size,
        modifiedNs: file.modifiedNs,
        read: (into, offset) => file.read(into, offset),
        lacks: (range) => file.lacks?.(range) ?? [],
        close: () => file.close(),
        ...lie,
      };
    },
    volume: (uuid) => donor.volume(uuid),
    close: () => donor.close(),
  };
  return { ...subject, donor: wrapped };
}

describe("donorSuite()", () => {
  test("finds a donor that makes bytes up where it has none", async () => {
    const found = await failures(async () =>
      lying(await image(), {
        read: (into) => {
          into.fill(0);
          return { missing: [] };
        },
      }),
    );
    expect(found).toContain("R1: bytes that it cannot read are missing, and all others still come");
    expect(found).toContain("R1: what lies behind the end is missing");
  });

  test("finds a donor that says to lack what it has", async () => {
    const found = await failures(async () =>
      lying(await image(), { lacks: (range) => [{ ...range, state: "unread" }] }),
    );
    expect(found).toContain("a whole file lacks nothing but what lies behind its end");
  });

  test("finds a donor that fails for a hostile path, or follows it", async () => {
    const found = await failures(async () => {
      const subject = await image();
      const file: Donor["file"] = () => {
        throw new TypeError("no such path");
      };
      return {
        ...subject,
        donor: {
          ...subject.donor,
          name: "x",
          kind: "image",
          file,
          volume: () => undefined,
          close: () => {},
        },
      };
    });
    expect(found).toContain(
      "a path that is not there, or that is no path, offers nothing and fails nothing",
    );
  });
});
