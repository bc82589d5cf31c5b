import Basics
import Link

/// What cloudflared says of itself, line by line, as a value.
///
/// | a line says | then |
/// |---|---|
/// | `Registered tunnel connection connIndex=N` | connection N is up |
/// | `connIndex=N`, and that it is retried, unregistered, terminated or lost | connection N is down |
/// | `ERR` or `WRN` with a cause that is known | that is the newest cause |
///
/// The words are those of its source of 2022 and of logs that people published since.
struct TunnelLog: Sendable {
  private(set) var connections: Set<Int> = []
  /// Whether a connection was ever up.
  private(set) var wasUp = false
  private var newest: Cause?

  private struct Cause {
    let words: [String]
    let code: ErrorCode
    let lossClass: LossClass?
    let what: String
    let next: String
    var isRefusal = false
  }

  mutating func take(_ line: String) {
    let text = line.lowercased()
    if let index = Self.connection(text) {
      if text.contains("registered tunnel connection"), !text.contains("unregistered") {
        connections.insert(index)
        wasUp = true
        newest = nil
      } else if Self.ends.contains(where: text.contains) {
        connections.remove(index)
      }
    }
    // What goes well may hold the same words.
    guard !text.contains(" inf "), !text.contains(" dbg "),
      let cause = Self.causes.first(where: { $0.words.contains(where: text.contains) })
    else { return }
    newest = cause
  }

  private static let ends = [
    "retrying connection", "unregistered tunnel connection", "connection terminated", "lost connection",
    "serve tunnel error",
  ]

  /// The number behind `connIndex=`.
  private static func connection(_ text: String) -> Int? {
    guard let range = text.firstRange(of: "connindex=") else { return nil }
    return Int(text[range.upperBound...].prefix { $0.isNumber })
  }

  /// What is not well while it runs; nil when nothing was said.
  func complaint(_ plan: TunnelPlan) -> TunnelState.Failure? {
    newest.map { failure($0, plan) }
  }

  /// Why it ended.
  ///
  /// - Parameter code: 127 when it could not be started.
  func verdict(code: Int32, _ plan: TunnelPlan) -> (failure: TunnelState.Failure, isRefusal: Bool) {
    if code == 127 { return (failure(Self.missing, plan), true) }
    if let newest { return (failure(newest, plan), newest.isRefusal) }
    let error = AWError(
      .pathUnreachable, "cloudflared, which serves \(plan.hostname), ended with code \(code).",
      next: "It is started again by itself. If that goes on, run it by hand on the Host with its config.yml.")
    return (.init(error, wasUp ? nil : .unknown), false)
  }

  private func failure(_ cause: Cause, _ plan: TunnelPlan) -> TunnelState.Failure {
    .init(
      AWError(cause.code, "cloudflared, which serves \(plan.hostname), \(cause.what).", next: cause.next),
      cause.lossClass)
  }

  private static let missing = Cause(
    words: [], code: .pathProgramMissing, lossClass: nil,
    what: "is not on the Host, or 'setpriv' to start it with is not",
    next: "Install cloudflared and util-linux on the Host, or name it with 'aw connect --cloudflared PATH'.",
    isRefusal: true)

  private static let again = "AW's Connector and cloudflared try again by themselves."

  /// The first that fits counts.
  private static let causes: [Cause] = [
    Cause(
      words: ["unauthorized", "invalid tunnel secret", "tunnel not found", "authentication failed"],
      code: .pathCredentialRefused, lossClass: .authRejected,
      what: "was refused by Cloudflare: its tunnel or "
        + "the tunnel's secret is not known there",
      next: "Make the tunnel anew with 'cloudflared tunnel create', then 'aw path switch' with its credentials.",
      isRefusal: true),
    Cause(
      words: ["error parsing tunnel id", "doesn't exist or is not a file", "error parsing yaml", "invalid ingress"],
      code: .pathInvalid, lossClass: nil, what: "does not take the files that AW wrote for it",
      next: "Compare the version of cloudflared on the Host with docs/paths.md.", isRefusal: true),
    Cause(
      words: ["no such host", "server misbehaving", "failed to lookup", "lookup cfd-features"], code: .pathUnreachable,
      lossClass: .dnsFailure, what: "finds no address of Cloudflare's edge", next: "Check the Host's resolver. " + again
    ),
    Cause(
      words: ["x509:", "certificate signed by", "tls: "], code: .pathTLSFailed, lossClass: .tlsFailed,
      what: "does not trust who answers as Cloudflare's edge",
      next: "Find out whether something between the Host and the internet opens TLS. " + again),
    Cause(
      words: ["connection refused"], code: .pathUnreachable, lossClass: .connectRefused,
      what: "is refused at Cloudflare's edge", next: "Check the Host's firewall for port 7844. " + again),
    Cause(
      words: ["network is unreachable", "no route to host"], code: .pathUnreachable, lossClass: .networkUnreachable,
      what: "has no route to Cloudflare's edge", next: "Check the Host's way out. " + again),
    Cause(
      words: ["i/o timeout", "no recent network activity", "context deadline exceeded", "handshake did not complete"],
      code: .pathUnreachable, lossClass: .connectTimeout, what: "gets no answer from Cloudflare's edge",
      next: "Let the Host out to port 7844, TCP and UDP. " + again),
  ]
}
