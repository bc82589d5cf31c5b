import Basics
import NIOCore

/// What the Gateway tells a socket to do, in order.
enum Outgoing: Sendable {
  case text(String)
  case pong(ByteBuffer)
  case close(code: UInt16, reason: String)
  /// Cut the TCP connection without a word.
  case cut
}

/// One WebSocket as the Gateway knows it.
struct Connection: Sendable {
  enum Phase: Sendable, Equatable {
    case waiting(nonce: String)
    case open
    case closed
  }

  let id: String
  let isLoopback: Bool
  let remoteIP: String?
  let outgoing: AsyncStream<Outgoing>.Continuation
  var phase: Phase
  var scopes: [String] = []
  var role = "operator"
  var deviceID: String?
  var bySharedSecret = false
  var client: ConnectParams.Client?
  /// The key of its line in the presence list; command lines have none.
  var presenceKey: String?
  var seq: Int64 = 0
  var isSubscribedToSessions = false
  var subscribedSessions: Set<String> = []

  /// Whether events for people with `scope` reach it.
  func hears(_ scope: String?) -> Bool {
    guard phase == .open else { return false }
    guard let scope else { return true }
    return Scope.allows(scopes, scope)
  }
}
