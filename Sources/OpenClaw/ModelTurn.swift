import Basics
import Foundation

/// One real model turn: the only proof that the whole path to a model works.
public enum ModelTurn {
  /// Keeps AW's turns out of the Org's own sessions.
  public static let sessionKey = "agent:main:aw-check"

  public struct Outcome: Sendable, Equatable {
    public let text: String
    public let milliseconds: Int64
  }

  static func prompt(_ nonce: String) -> String {
    "This is an automated check. Reply with exactly: \(nonce)"
  }

  /// Asks the model for `nonce` and returns what it said.
  ///
  /// - Throws: `modelTurnFailed` when the run fails or the answer lacks the nonce, `gatewayTimeout`.
  public static func run(
    on client: GatewayClient, nonce: String, deadline: Duration = .seconds(60)
  ) async throws -> Outcome {
    let started = ContinuousClock.now
    let run = UUID().uuidString.lowercased()
    let text: String
    do {
      text = try await withDeadline(deadline, doing: "The model's answer") { try await ask(client, run, nonce) }
    } catch let error as AWError where error.code == .gatewayTimeout {
      await abort(run, on: client)
      throw error
    }
    guard text.contains(nonce) else {
      throw AWError(
        .modelTurnFailed, "The model answered, but without the nonce that AW asked for.",
        next: "Check which model the Instance is configured with.")
    }
    return Outcome(text: text, milliseconds: (ContinuousClock.now - started).milliseconds)
  }

  private static func ask(_ client: GatewayClient, _ run: String, _ nonce: String) async throws -> String {
    // Listening starts before the question: the answer may be faster than the acknowledgement.
    let events = client.listen { $0.name == "chat" && $0.payload["runId"]?.stringValue == run }
    do {
      _ = try await client.call(
        "chat.send",
        [
          "sessionKey": .string(sessionKey), "message": .string(prompt(nonce)), "idempotencyKey": .string(run),
        ])
    } catch let failure as GatewayFailure {
      throw failure.explained
    }
    return try await answer(from: events)
  }

  /// A turn that nobody waits for any more must not go on costing tokens. What became of the abort changes nothing:
  /// the turn has failed already.
  private static func abort(_ run: String, on client: GatewayClient) async {
    _ = try? await client.call(
      "chat.abort", ["sessionKey": .string(sessionKey), "runId": .string(run)], deadline: .seconds(5))
  }

  static func answer(from events: AsyncStream<GatewayEvent>) async throws -> String {
    for await event in events {
      switch event.payload["state"]?.stringValue {
      case "final": return text(of: event.payload["message"])
      case "error":
        let said = event.payload["errorMessage"]?.stringValue ?? text(of: event.payload["message"])
        throw AWError(
          .modelTurnFailed, "The model turn failed: \(said.isEmpty ? "the Gateway gives no reason" : said.quoted).",
          next: "Check the model provider, its address and its credential.")
      case "aborted":
        throw AWError(.modelTurnFailed, "The model turn was aborted on the Instance.", next: "Try again.")
      default: continue
      }
    }
    throw AWError(
      .gatewayUnreachable, "The connection closed during the model turn.", next: "Look at the Instance's log.")
  }

  /// The text of a message whose content is a string or a list of parts.
  static func text(of message: JSONValue?) -> String {
    if let text = message?["content"]?.stringValue { return text }
    // Thoughts and calls of tools are parts too, and may quote the question: they are no answer.
    let answers = message?["content"]?.arrayValue?.filter { $0["type"] == nil || $0["type"] == "text" }
    return answers?.compactMap { $0["text"]?.stringValue }.joined() ?? ""
  }
}
