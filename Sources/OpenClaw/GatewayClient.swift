import Basics
import NIOCore

/// One connection to an Instance's Gateway WebSocket, let in and ready for calls.
///
/// When the socket closes, every waiting call fails with the close code. A call's deadline fails that call only.
public final class GatewayClient: Sendable {
  public static let challengeDeadline = Duration.seconds(15)
  public static let callDeadline = Duration.seconds(30)

  public let hello: HelloOK
  /// What the Gateway pushes, as far as it was wanted. Bounded: the oldest are dropped when nobody reads.
  public let events: AsyncStream<GatewayEvent>

  private let channel: any Channel
  private let conversation: GatewayConversation

  /// Connects and introduces AW.
  ///
  /// - Parameter wanted: the events to keep for `events`.
  /// - Throws: `GatewayFailure` when the Gateway refuses, `AWError` when it cannot be reached or breaks the protocol.
  public static func connect(
    through dialer: some ByteDialer, credentials: GatewayCredentials, options: ConnectOptions,
    deadline: Duration = challengeDeadline, wanted: @escaping @Sendable (GatewayEvent) -> Bool = { _ in false }
  ) async throws -> GatewayClient {
    let conversation = GatewayConversation(credentials, options)
    let events = conversation.audience.listen(for: wanted)
    let channel = try await WebSocketDialer.open(through: dialer) { GatewaySocket(conversation) }
    let timer = channel.eventLoop.scheduleTask(in: .milliseconds(deadline.milliseconds)) {
      conversation.end(
        AWError(
          .gatewayTimeout, "The Gateway's greeting did not come within \(deadline.inSeconds).",
          next: "The Instance may be overloaded or still starting; look at its log."))
    }
    defer { timer.cancel() }
    do {
      let hello = try await OpeningTimes.measure(.greeting) { try await conversation.greeted() }
      return GatewayClient(hello, events, channel, conversation)
    } catch {
      GatewaySocket.close(channel)
      throw error
    }
  }

  private init(
    _ hello: HelloOK, _ events: AsyncStream<GatewayEvent>, _ channel: any Channel, _ conversation: GatewayConversation
  ) {
    self.hello = hello
    self.events = events
    self.channel = channel
    self.conversation = conversation
  }

  deinit { close() }

  /// How many events were lost: numbers that the Gateway skipped, and what a full buffer dropped. When it grows, what
  /// was built from events must be fetched anew.
  public var eventsMissed: Int { conversation.audience.missed }

  /// The events that `wants` chooses, from now on: apart from `events`, and until the connection ends.
  func listen(for wants: @escaping @Sendable (GatewayEvent) -> Bool) -> AsyncStream<GatewayEvent> {
    conversation.audience.listen(for: wants)
  }

  public func close() {
    let error = AWError(
      .gatewayUnreachable, "AW closed the connection.", next: "This is not a failure of the Instance.")
    if conversation.end(error) { GatewaySocket.close(channel) }
  }

  /// Calls a method that answers once.
  ///
  /// - Throws: `GatewayFailure` when the Gateway refuses, `gatewayTimeout`, or what the socket's end says.
  public func call(
    _ method: String, _ params: JSONValue = [:], deadline: Duration = callDeadline
  ) async throws -> JSONValue {
    try await call(method, params, deadline: deadline, wantsFinal: false)
  }

  /// Calls a method that answers twice with one id (`agent`): first that it accepted, then how it ended.
  public func callExpectingFinal(
    _ method: String, _ params: JSONValue, deadline: Duration
  ) async throws -> JSONValue {
    try await call(method, params, deadline: deadline, wantsFinal: true)
  }

  private func call(
    _ method: String, _ params: JSONValue, deadline: Duration, wantsFinal: Bool
  ) async throws -> JSONValue {
    let id = GatewayConversation.makeID()
    return try await conversation.answer(to: id, wantsFinal: wantsFinal) {
      channel.eventLoop.scheduleTask(in: .milliseconds(deadline.milliseconds)) { [conversation] in
        conversation.abandon(
          id,
          AWError(
            .gatewayTimeout, "The Gateway did not answer '\(method)' within \(deadline.inSeconds).",
            next: "Look at the Instance's load and log."))
      }
    } send: {
      GatewaySocket.send(GatewayFrame.request(id: id, method: method, params: params), on: channel)
    }
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
