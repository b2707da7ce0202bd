/** theriac serve: images and stacks as network block devices, around whose poison any program reads. */
import { writePieces } from "../output.ts";
import {
  activatedSocket,
  ControlServer,
  isLocal,
  NbdServer,
  parseListenAddress,
  tlsUpgrade,
  type ListenAddress,
  type ServedStatus,
  type TlsUpgrade,
} from "../../nbd/index.ts";
import { nodeFiles } from "../../os/index.ts";
import { countArgument, several } from "../arguments.ts";
import type { CommandContext, CommandModule } from "../command.ts";
import { closeServed, openServed, type ServedDevice } from "../served-devices.ts";
import { addPoisonOption } from "./shared-options.ts";

interface ServeOptions {
  readonly listen?: string;
  readonly name?: readonly string[];
  readonly readOnly?: boolean;
  readonly poison?: string;
  readonly clients?: number;
  readonly tlsCertificates?: string;
  readonly tlsVerifyPeer?: boolean;
  readonly tlsPsk?: string;
}

/** `theriac serve IMAGE...` */
export const serve: CommandModule<ServeOptions> = {
  configure(command) {
    command
      .argument("<image...>", "images or stacks; each is an export")
      .option("--listen <address>", "unix:PATH or tcp:HOST:PORT (tcp:127.0.0.1:10809)")
      .option(
        "--name <name>",
        "export's name; once for each image",
        several((text) => text),
      )
      .option("--read-only", "refuse writes")
      .option("--clients <n>", "clients at once (100)", countArgument(1))
      .option("--tls-certificates <dir>", "TLS with server-cert.pem and server-key.pem from here")
      .option("--tls-verify-peer", "want a certificate of ca-cert.pem from clients")
      .option("--tls-psk <file>", "TLS with keys: lines USER:HEX");
    addPoisonOption(command);
  },
  async run(context, { rest, options }) {
    const tls = wantedTls(options);
    const address = wantedAddress(options);
    if (!isLocal(address) && tls === undefined)
      context.warn(
        "every machine that reaches this port can read and write: want --tls-psk or --tls-certificates",
      );
    const served = await openServed(rest, {
      readOnly: options.readOnly === true,
      names: options.name ?? [],
      poison: options.poison,
      warn: (message) => context.warn(message),
    });
    try {
      return await serveUntilSignal(context, served, { address, tls, clients: options.clients });
    } finally {
      await closeServed(served);
    }
  },
};

interface Serving {
  readonly address: ListenAddress;
  readonly tls: TlsUpgrade | undefined;
  readonly clients: number | undefined;
}

async function serveUntilSignal(
  context: CommandContext,
  served: readonly ServedDevice[],
  { address, tls, clients }: Serving,
): ReturnType<CommandModule["run"]> {
  const server = new NbdServer({
    exports: served.map((one) => one.export),
    tls,
    ...(clients === undefined ? {} : { clientsMax: clients }),
  });
  const uris = await server.listen(address);
  const controls: ControlServer[] = [];
  try {
    for (const { path, device, names } of served) {
      // What is reached over a URI has no place for a socket beside it.
      if (nodeFiles.info(path) === undefined) continue;
      const own = uris.filter((_, index) => names.has(server.exports.all[index]?.name ?? ""));
      const status = (): ServerStatus => statusOf(server, own, names);
      const control = new ControlServer({ image: path, device, status });
      await control.listen();
      controls.push(control);
    }
    await announce(context, address, uris);
    await aborted(context.signal);
  } finally {
    await server.close();
    for (const control of controls) await control.close();
  }
  const document = { schema: "theriac.serve/1", uris, clients: server.served };
  return { exitCode: 0, document, text: () => "" };
}

type ServerStatus = Pick<ServedStatus, "uris" | "clients" | "clientsSoFar">;

/** What the server says of one image: its own clients, and those that have not chosen yet. */
function statusOf(
  server: NbdServer,
  uris: readonly string[],
  names: ReadonlySet<string>,
): ServerStatus {
  const clients = server.connections.filter((one) => names.has(one.export ?? ""));
  return { uris, clients, clientsSoFar: server.served };
}

/** Whoever handed the socket over has the address, and stdout may be its own. */
async function announce(
  context: CommandContext,
  address: ListenAddress,
  uris: readonly string[],
): Promise<void> {
  if (address.kind === "descriptor") return;
  const text = `${uris.join("\n")}\n`;
  if (context.json) context.tell(text);
  else await writePieces(process.stdout, text);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function wantedAddress({ listen }: ServeOptions): ListenAddress {
  const activated = activatedSocket(process.env, process.pid);
  if (activated !== undefined && listen !== undefined)
    throw new RangeError("Cannot use --listen: a socket was handed over (LISTEN_FDS)");
  return activated ?? parseListenAddress(listen ?? "tcp:127.0.0.1:10809");
}

function wantedTls(options: ServeOptions): TlsUpgrade | undefined {
  const { tlsCertificates: certificates, tlsVerifyPeer: verifyPeer, tlsPsk: psk } = options;
  if (certificates !== undefined && psk !== undefined)
    throw new RangeError("Cannot use --tls-certificates and --tls-psk at once: want one of them");
  if (verifyPeer === true && certificates === undefined)
    throw new RangeError("Cannot use --tls-verify-peer: want it with --tls-certificates");
  if (certificates !== undefined)
    return tlsUpgrade({ certificates, verifyPeer: verifyPeer === true });
  return psk === undefined ? undefined : tlsUpgrade({ psk });
}
