import Basics
import Foundation
import NIOCore
import NIOWebSocket
import Synchronization

/// One connection to an Instance's Gateway WebSocket, let in and ready for calls.
///
/// Calls are correlated by id; answers may come in any order, and events between them. When the socket closes, every
/// waiting call fails with the close code. A call's deadline fails that call only.
public final class GatewayClient: Sendable {
  public static let challengeDeadline = Duration.seconds(15)
  public static let callDeadline = Duration.seconds(30)

  private struct Waiting {
    let wantsFinal: Bool
    let continuation: CheckedContinuation<JSONValue, any Error>
    let timer: Task<Void, any Error>

    func resume(with result: Result<JSONValue, any Error>) {
      timer.cancel()
      continuation.resume(with: result)
    }
  }

  private enum State {
    case open(waiting: [String: Waiting])
    case closed(AWError)
  }

  public let hello: HelloOK
  /// What the Gateway pushes. Bounded: the oldest are dropped when nobody reads.
  public let events: AsyncStream<GatewayEvent>

  private let socket: GatewaySocket
  private let state = Mutex(State.open(waiting: [:]))
  private let audience = EventAudience()
  private let pump: Task<Void, Never>

  /// Connects and introduces AW.
  ///
  /// - Throws: `GatewayFailure` when the Gateway refuses, `AWError` when it cannot be reached or breaks the protocol.
  public static func connect(
    through dialer: some ByteDialer, credentials: GatewayCredentials, options: ConnectOptions,
    deadline: Duration = challengeDeadline
  ) async throws -> GatewayClient {
    let socket = GatewaySocket(try await WebSocketDialer.open(through: dialer))
    do {
      let hello = try await withDeadline(deadline, doing: "The Gateway's greeting") {
        try await greet(socket, credentials, options)
      }
      return GatewayClient(socket: socket, hello: hello)
    } catch {
      socket.close()
      throw error
    }
  }

  private static func greet(
    _ socket: GatewaySocket, _ credentials: GatewayCredentials, _ options: ConnectOptions
  ) async throws -> HelloOK {
    let id = UUID().uuidString.lowercased()
    while let frame = try await socket.next() {
      switch frame {
      case .event(let event) where event.name == "connect.challenge":
        guard let nonce = event.payload["nonce"]?.stringValue, let at = event.payload["ts"]?.intValue else {
          throw protocolError("its challenge has no nonce or time")
        }
        let params = try ConnectRequest.params(options, credentials, nonce: nonce, signedAt: at)
        try await socket.send(GatewayFrame.request(id: id, method: "connect", params: params))
      case .response(id, .success(let payload)):
        do { return try HelloOK(payload) } catch { throw protocolError("its hello is not complete") }
      case .response(_, .failure(let failure)):
        throw failure
      default:
        continue
      }
    }
    throw socket.closeError
  }

  private static func protocolError(_ what: String) -> AWError {
    AWError(
      .gatewayProtocol, "The Gateway broke its protocol: \(what).",
      next: "Check which program listens on the Instance's port.")
  }

  /// How many events were lost: numbers that the Gateway skipped, and what a full buffer dropped. When it grows, what
  /// was built from events must be fetched anew.
  public var eventsMissed: Int { audience.missed }

  /// The events that `wants` chooses, from now on: apart from `events`, and until the connection ends.
  func listen(for wants: @escaping @Sendable (GatewayEvent) -> Bool) -> AsyncStream<GatewayEvent> {
    audience.listen(for: wants)
  }

  private init(socket: GatewaySocket, hello: HelloOK) {
    self.socket = socket
    self.hello = hello
    let audience = audience
    events = audience.listen { _ in true }
    let (frames, frameSink) = AsyncStream<GatewayFrame>.makeStream()
    pump = Task {
      do {
        while let frame = try await socket.next() { frameSink.yield(frame) }
      } catch {
        socket.note(error)
      }
      frameSink.finish()
    }
    Task { [weak self] in
      for await frame in frames {
        if case .event(let event) = frame { audience.hear(event) }
        if case .response(let id, let result) = frame { self?.answered(id, result) }
      }
      audience.end()
      self?.ended(socket.closeError)
    }
  }

  deinit {
    pump.cancel()
    socket.close()
  }

  public func close() {
    ended(
      AWError(.gatewayUnreachable, "AW closed the connection.", next: "This is not a failure of the Instance."))
    pump.cancel()
    socket.close()
  }

  /// Calls a method that answers once.
  ///
  /// - Throws: `GatewayFailure` when the Gateway refuses, `gatewayTimeout`, or what the socket's end says.
  public func call(
    _ method: String, _ params: JSONValue = [:], deadline: Duration = callDeadline
  ) async throws -> JSONValue {
    try await send(method, params, deadline: deadline, wantsFinal: false)
  }

  /// Calls a method that answers twice with one id (`agent`): first that it accepted, then how it ended.
  public func callExpectingFinal(
    _ method: String, _ params: JSONValue, deadline: Duration
  ) async throws -> JSONValue {
    try await send(method, params, deadline: deadline, wantsFinal: true)
  }

  private func send(
    _ method: String, _ params: JSONValue, deadline: Duration, wantsFinal: Bool
  ) async throws -> JSONValue {
    let id = UUID().uuidString.lowercased()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let refusal = state.withLock { state -> (any Error)? in
          switch state {
          case .closed(let error): return error
          case .open(var waiting):
            guard !Task.isCancelled else { return CancellationError() }
            // Set off under the lock: a timer that fires at once must find the call it is for.
            let timer = timer(id, method, deadline)
            waiting[id] = Waiting(wantsFinal: wantsFinal, continuation: continuation, timer: timer)
            state = .open(waiting: waiting)
            return nil
          }
        }
        if let refusal { return continuation.resume(throwing: refusal) }
        socket.sendWithoutWaiting(GatewayFrame.request(id: id, method: method, params: params))
      }
    } onCancel: {
      abandon(id, CancellationError())
    }
  }

  private func timer(_ id: String, _ method: String, _ deadline: Duration) -> Task<Void, any Error> {
    Task { [weak self] in
      try await Task.sleep(for: deadline)
      self?.abandon(
        id,
        AWError(
          .gatewayTimeout, "The Gateway did not answer '\(method)' within \(deadline.inSeconds).",
          next: "Look at the Instance's load and log."))
    }
  }

  private func answered(_ id: String, _ result: Result<JSONValue, GatewayFailure>) {
    let waiting = state.withLock { state -> Waiting? in
      guard case .open(var waiting) = state, let call = waiting[id] else { return nil }
      if call.wantsFinal, case .success(let payload) = result, payload["status"]?.stringValue == "accepted" {
        return nil
      }
      waiting[id] = nil
      state = .open(waiting: waiting)
      return call
    }
    waiting?.resume(with: result.mapError { $0 as any Error })
  }

  private func abandon(_ id: String, _ error: any Error) {
    let waiting = state.withLock { state -> Waiting? in
      guard case .open(var waiting) = state else { return nil }
      defer { state = .open(waiting: waiting) }
      return waiting.removeValue(forKey: id)
    }
    waiting?.resume(with: .failure(error))
  }

  private func ended(_ error: AWError) {
    let all = state.withLock { state -> [Waiting] in
      guard case .open(let waiting) = state else { return [] }
      state = .closed(error)
      return Array(waiting.values)
    }
    for waiting in all { waiting.resume(with: .failure(error)) }
  }
}

/// Runs `body` with a deadline; the body is cancelled when it passes.
func withDeadline<Value: Sendable>(
  _ deadline: Duration, doing what: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: deadline)
      throw AWError(
        .gatewayTimeout, "\(what) did not come within \(deadline.inSeconds).",
        next: "The Instance may be overloaded or still starting; look at its log.")
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}

extension Duration {
  /// For people: whole seconds, or milliseconds below two seconds.
  var inSeconds: String { self < .seconds(2) ? "\(milliseconds) ms" : "\(Int(seconds)) s" }
}
