/**
 * nbd: the network block device server: any program reads around poison, and heals by writing.
 *
 * Promises: a read gives every clean byte and names every bad range; what FLUSH or FUA acknowledged is durable; a client reaches nothing outside
 * its export, and holds no more memory than a bound. Stands on base, os, poison, device, mapper, dax and rescue.
 */
export { ExportList, exportsOf, type ExportOptions, type NbdExport } from "./export.ts";
export { Handshake, type Agreement, type HandshakeOptions, type Outcome } from "./handshake.ts";
export {
  activatedSocket,
  isLocal,
  parseListenAddress,
  uriOf,
  type ListenAddress,
} from "./listen-address.ts";
export { Output } from "./output.ts";
export { NbdServer, type NbdServerOptions } from "./server.ts";
export { tlsUpgrade, type TlsOptions } from "./tls-credentials.ts";
export { Transmission, type TransmissionOptions } from "./transmission.ts";
export { Connection, type ConnectionOptions, type ConnectionStatus } from "./connection.ts";
export type { Link, TlsUpgrade, Wire, WireReceiver } from "./wire.ts";

// Commands to a server.
export { ControlClient, connectControl } from "./control/control-client.ts";
export type { InjectAnswer, ScrubAnswer, ServedStatus } from "./control/control-messages.ts";
export { ControlServer, type ControlServerOptions } from "./control/control-server.ts";
