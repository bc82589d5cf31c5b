import Basics
import NIOCore
import NIOHTTP2
import NIOSSL

#if canImport(Glibc)
  import Glibc
#endif

/// HTTP/2 at the far end gave the connection up, and says why.
public struct GoneAway: Error {
  public let code: HTTP2ErrorCode
}

/// Collects what is seen of the end of one connection, as it is seen. The first of each kind counts: what comes after
/// is mostly its consequence.
public struct LossNotes: Sendable {
  public private(set) var signal: LossEvidence.Signal?
  public private(set) var socket: LossEvidence.SocketEnd?
  public private(set) var silence: Duration?
  public private(set) var tcp: LossEvidence.TCP?
  public private(set) var stall = Duration.zero
  public private(set) var detail = ""
  /// TLS ended with an error. In TLS 1.3 the end that dialled has done with the handshake before the other end looks at
  /// its certificate, so a refusal of that comes after it.
  public private(set) var isRefusedByTLS = false

  public init() {}

  /// Nothing was noted yet.
  public var isEmpty: Bool { signal == nil && socket == nil && silence == nil }

  /// Whatever of the link's own watch says something of its end.
  public mutating func note(_ event: LivenessProbe.Event) {
    switch event {
    case .died(let silence, let tcp): note(silence: silence, tcp: tcp)
    case .stalled(let stall): note(stall: stall)
    case .failed(let error): note(error: error)
    case .ended: note(closed: .closed)
    case .suspected(let tcp): note(suspicion: tcp)
    case .recovered: note(suspicion: nil)
    case .answered: break
    }
  }

  public mutating func note(_ signal: LossEvidence.Signal, _ detail: String) {
    guard self.signal == nil else { return }
    self.signal = signal
    explain(detail)
  }

  public mutating func note(silence: Duration, tcp: LossEvidence.TCP?) {
    guard isEmpty else { return }
    self.silence = silence
    self.tcp = tcp
    explain("no answer to a ping; nothing was read for \(silence.milliseconds) ms")
  }

  /// An end that waits for an answer may learn by a reset that the other end has given up: then this is what it knew.
  private mutating func note(suspicion tcp: LossEvidence.TCP?) {
    if isEmpty { self.tcp = tcp }
  }

  public mutating func note(stall: Duration) { self.stall = max(self.stall, stall) }

  public mutating func note(closed: LossEvidence.SocketEnd) {
    guard socket == nil else { return }
    socket = closed
  }

  public mutating func note(error: any Error) {
    if let error = error as? IOError { return note(errno: error) }
    if error is BoringSSLError {
      isRefusedByTLS = true
      return explain("\(error)")
    }
    if case .uncleanShutdown? = error as? NIOSSLError { return note(closed: .closed) }
    if error is any NIOHTTP2Error || error is GoneAway { return note(.goAway, "\(error)") }
  }

  private mutating func note(errno error: IOError) {
    switch error.errnoCode {
    case ECONNRESET, EPIPE: note(closed: .reset)
    case ETIMEDOUT: note(closed: .timedOut)
    case ECONNREFUSED: note(closed: .refused)
    case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN: note(closed: .unreachable)
    default: break
    }
    explain("\(error)")
  }

  private mutating func explain(_ text: String) { if detail.isEmpty { detail = String(text.prefix(300)) } }

  public func evidence(
    by observer: LossEvidence.Observer, _ phase: LossEvidence.Phase = .established, at: Timestamp, lived: Duration
  ) -> LossEvidence {
    let isHandshake = phase == .handshake || phase == .registration && isRefusedByTLS
    return LossEvidence(
      observer: observer, phase: isHandshake ? .handshake : phase, at: at, signal: signal, socket: socket,
      silentMilliseconds: silence?.milliseconds, livedMilliseconds: lived.milliseconds, tcp: tcp,
      tls: isHandshake ? .closed : nil, stallMilliseconds: stall.milliseconds, detail: detail)
  }
}
