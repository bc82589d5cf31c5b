import Basics
import Foundation
import NIOCore
import Synchronization

/// What is said on one connection: first the greeting, then calls that wait for their answers, then nothing more.
///
/// Calls are correlated by id; answers may come in any order, and events between them. It is told what arrives, and
/// answers what is to be sent.
final class GatewayConversation: Sendable {
  private struct Call {
    let wantsFinal: Bool
    let continuation: CheckedContinuation<JSONValue, any Error>
    let timer: Scheduled<Void>

    func resume(with result: Result<JSONValue, any Error>) {
      timer.cancel()
      continuation.resume(with: result)
    }
  }

  private struct Greeting {
    let credentials: GatewayCredentials
    let options: ConnectOptions
    /// Of the `connect` request.
    let id: String
    /// By the Gateway's clock.
    var challengedAt: Timestamp?
    var continuation: CheckedContinuation<HelloOK, any Error>?
  }

  private enum State {
    case greeting(Greeting)
    case open(HelloOK, calls: [String: Call])
    case ended(any Error)

    var greeting: Greeting? { if case .greeting(let greeting) = self { greeting } else { nil } }
  }

  let audience = EventAudience()
  private let state: Mutex<State>

  init(_ credentials: GatewayCredentials, _ options: ConnectOptions) {
    state = Mutex(.greeting(Greeting(credentials: credentials, options: options, id: Self.makeID())))
  }

  static func makeID() -> String { UUID().uuidString.lowercased() }

  // MARK: - What arrives

  /// Takes in a frame.
  ///
  /// - Returns: what is to be sent at once.
  func hear(_ frame: GatewayFrame) -> String? {
    do {
      switch frame {
      case .event(let event): return try hear(event)
      case .response(let id, let result): try answered(id, result)
      case .other: break
      }
    } catch {
      end(error)
    }
    return nil
  }

  private func hear(_ event: GatewayEvent) throws -> String? {
    guard let greeting = state.withLock({ $0.greeting }) else {
      audience.hear(event)
      return nil
    }
    guard event.name == "connect.challenge" else { return nil }
    guard let nonce = event.payload["nonce"]?.stringValue, let at = event.payload["ts"]?.intValue else {
      throw Self.broken("its challenge has no nonce or time")
    }
    state.withLock { state in
      guard case .greeting(var greeting) = state else { return }
      greeting.challengedAt = Timestamp(millisecondsSince1970: at)
      state = .greeting(greeting)
    }
    let params = try ConnectRequest.params(greeting.options, greeting.credentials, nonce: nonce, signedAt: at)
    return GatewayFrame.request(id: greeting.id, method: "connect", params: params)
  }

  private func answered(_ id: String, _ result: Result<JSONValue, GatewayFailure>) throws {
    let done = try state.withLock { state -> (() -> Void)? in
      switch state {
      case .greeting(let greeting) where greeting.id == id:
        let payload = try result.get()
        guard let hello = try? HelloOK(payload, gatewayTime: greeting.challengedAt) else {
          throw Self.broken("its hello is not complete")
        }
        state = .open(hello, calls: [:])
        return { greeting.continuation?.resume(returning: hello) }
      case .open(let hello, var calls):
        guard let call = calls[id] else { return nil }
        if call.wantsFinal, case .success(let payload) = result, payload["status"]?.stringValue == "accepted" {
          return nil
        }
        calls[id] = nil
        state = .open(hello, calls: calls)
        return { call.resume(with: result.mapError { $0 as any Error }) }
      case .greeting, .ended: return nil
      }
    }
    done?()
  }

  private static func broken(_ what: String) -> AWError {
    AWError(
      .gatewayProtocol, "The Gateway broke its protocol: \(what).",
      next: "Check which program listens on the Instance's port.")
  }

  // MARK: - Who waits

  /// Waits for the Gateway's greeting.
  ///
  /// - Throws: `GatewayFailure` when it refuses, or why the conversation ended before.
  func greeted() async throws -> HelloOK {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let known = state.withLock { state -> Result<HelloOK, any Error>? in
          switch state {
          case .open(let hello, _): return .success(hello)
          case .ended(let error): return .failure(error)
          case .greeting(var greeting):
            greeting.continuation = continuation
            state = .greeting(greeting)
            return nil
          }
        }
        if let known { continuation.resume(with: known) }
      }
    } onCancel: {
      end(CancellationError())
    }
  }

  /// Waits for the answer to a call.
  ///
  /// - Parameters:
  ///   - wantsFinal: the first of two answers with one id says only that it was accepted.
  ///   - send: sends the request, once its answer can be taken in.
  ///   - expire: sets off the call's deadline.
  func answer(
    to id: String, wantsFinal: Bool, expire: () -> Scheduled<Void>, send: () -> Void
  ) async throws -> JSONValue {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let refusal = state.withLock { state -> (any Error)? in
          switch state {
          case .ended(let error): return error
          case .greeting: return Self.broken("it was called before it greeted")
          case .open(let hello, var calls):
            guard !Task.isCancelled else { return CancellationError() }
            // Set off under the lock: a timer that fires at once must find the call it is for.
            calls[id] = Call(wantsFinal: wantsFinal, continuation: continuation, timer: expire())
            state = .open(hello, calls: calls)
            return nil
          }
        }
        if let refusal { continuation.resume(throwing: refusal) } else { send() }
      }
    } onCancel: {
      abandon(id, CancellationError())
    }
  }

  /// One call ends without an answer.
  func abandon(_ id: String, _ error: any Error) {
    let call = state.withLock { state -> Call? in
      guard case .open(let hello, var calls) = state else { return nil }
      defer { state = .open(hello, calls: calls) }
      return calls.removeValue(forKey: id)
    }
    call?.resume(with: .failure(error))
  }

  /// Everybody who waits is told why nothing more will come. Only the first reason counts.
  ///
  /// - Returns: whether this was it.
  @discardableResult
  func end(_ error: any Error) -> Bool {
    let before = state.withLock { state -> State in
      defer { if case .ended = state {} else { state = .ended(error) } }
      return state
    }
    switch before {
    case .greeting(let greeting): greeting.continuation?.resume(throwing: error)
    case .open(_, let calls): for call in calls.values { call.resume(with: .failure(error)) }
    case .ended: return false
    }
    audience.end()
    return true
  }
}
