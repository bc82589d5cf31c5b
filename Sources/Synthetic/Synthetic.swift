/// The Synthetic room: stand-ins that the rest of AW cannot tell from the real thing.
///
/// Its main piece is an OpenClaw Gateway 2026.6.9 (protocol 4) with its state on disk, its command line and its faults,
/// and a model endpoint for it to call. It shares only `Basics` with the rest of AW: what AW knows of OpenClaw lives in
/// the OpenClaw room, and a mistake there must not be repeated here, so nothing is imported from it.
public enum Synthetic {
  /// The release that the recorded frames come from.
  public static let version = "2026.6.9"
  /// The protocol that release speaks, and the only one.
  static let protocolVersion: Int64 = 4
}

/// Numbers of the stand-in, each as the recorded Gateway announced or showed it.
enum Limits {
  /// Largest message after hello-ok, bytes (`policy.maxPayload`).
  static let payloadBytesMax = 26_214_400
  /// Largest outbound backlog, bytes (`policy.maxBufferedBytes`).
  static let bufferedBytesMax = 52_428_800
  /// Largest message before hello-ok, bytes; a larger one closes with 1009.
  static let preauthBytesMax = 65_536
  /// Milliseconds between two `tick` events (`policy.tickIntervalMs`).
  static let tickIntervalMilliseconds: Int64 = 30_000
  /// Milliseconds that a client has for `connect`; then close 1000 with no reason.
  static let handshakeMilliseconds: Int64 = 15_000
  /// Milliseconds by which `device.signedAt` may differ from the Gateway's clock.
  static let signatureSkewMilliseconds: Int64 = 600_000
  /// Milliseconds a pairing request waits for a decision.
  static let pairingRequestMilliseconds: Int64 = 300_000
  /// Bytes of a close reason that survive.
  static let closeReasonBytesMax = 120
  /// Milliseconds between two refreshes of the health summary.
  static let healthIntervalMilliseconds: Int64 = 60_000
  /// Largest plain HTTP request body that is read, bytes.
  static let requestBodyBytesMax = 1_048_576
}
