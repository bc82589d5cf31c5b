import Basics
import Foundation

/// What the plain HTTP side of the port answers.
struct ProbeAnswer: Equatable, Sendable {
  var status: Int
  var contentType: String?
  var body: String
  var allow: String?
}

/// What the probes are answered from.
struct ProbeState: Sendable {
  /// Why the Gateway is not ready; empty when it is.
  var failing: [String]
  var uptimeMilliseconds: Int64
  var eventLoop: JSONValue
  var controlUIEnabled: Bool
  /// Whether the caller is local or sent the shared secret: only they see details.
  var isTrusted: Bool
}

/// Decides what a plain request gets.
enum Probes {
  static func answer(method: String, path: String, _ state: ProbeState) -> ProbeAnswer {
    let path = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init) ?? "/"
    switch path {
    case "/health", "/healthz": return json(method, 200, ["ok": true, "status": "live"])
    case "/ready", "/readyz":
      let isReady = state.failing.isEmpty
      var body: JSONValue = ["ready": .bool(isReady)]
      if state.isTrusted {
        body = body.merging([
          "failing": .strings(state.failing), "uptimeMs": .integer(state.uptimeMilliseconds),
          "eventLoop": state.eventLoop,
        ])
      }
      return json(method, isReady ? 200 : 503, body)
    default:
      guard state.controlUIEnabled, method == "GET" || method == "HEAD" else {
        return ProbeAnswer(status: 404, contentType: "text/plain; charset=utf-8", body: "Not Found")
      }
      return ProbeAnswer(status: 200, contentType: "text/html; charset=utf-8", body: page)
    }
  }

  private static func json(_ method: String, _ status: Int, _ body: JSONValue) -> ProbeAnswer {
    guard method == "GET" || method == "HEAD" else {
      return ProbeAnswer(
        status: 405, contentType: "text/plain; charset=utf-8", body: "Method Not Allowed", allow: "GET, HEAD")
    }
    return ProbeAnswer(status: status, contentType: "application/json; charset=utf-8", body: body.canonical)
  }

  private static let page = """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>OpenClaw Control</title></head>
    <body><openclaw-app></openclaw-app></body></html>

    """
}
