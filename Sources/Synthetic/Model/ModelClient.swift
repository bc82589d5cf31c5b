import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// What a model answered.
struct ModelAnswer: Sendable, Equatable {
  /// The pieces in the order they came.
  var pieces: [String] = []
  var inputTokens: Int64 = 0
  var outputTokens: Int64 = 0
  var stopReason = "stop"
  var responseID: String?
  var text: String { pieces.joined() }
}

struct ModelFailure: Error, CustomStringConvertible {
  var description: String
}

/// Calls an OpenAI-compatible `chat/completions`.
struct ModelClient: Sendable {
  let http: HTTPClient
  /// Bytes of an answer that are read at most.
  static let answerBytesMax = 16 * 1_024 * 1_024
  /// Seconds that a call may take.
  static let timeoutSeconds: Int64 = 120

  func complete(provider: JSONValue, key: Secret?, model: String, messages: [JSONValue]) async throws -> ModelAnswer {
    guard let base = provider["baseUrl"]?.stringValue else { throw ModelFailure(description: "no baseUrl configured") }
    var request = HTTPClientRequest(url: base.hasSuffix("/") ? base + "chat/completions" : base + "/chat/completions")
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.headers.add(name: "accept", value: "text/event-stream, application/json")
    key?.withText { request.headers.add(name: "authorization", value: "Bearer \($0)") }
    let body: JSONValue = [
      "model": .string(model), "messages": .array(messages), "stream": true,
      "stream_options": ["include_usage": true],
    ]
    request.body = .bytes(ByteBuffer(string: body.canonical))
    let response = try await http.execute(request, timeout: .seconds(Self.timeoutSeconds))
    let bytes = try await response.body.collect(upTo: Self.answerBytesMax)
    guard response.status == .ok else {
      throw ModelFailure(description: "\(response.status.code) \(Self.errorText(bytes, response.status))")
    }
    let isStream = response.headers.first(name: "content-type")?.hasPrefix("text/event-stream") ?? false
    let text = String(buffer: bytes)
    let answer = isStream ? try Self.streamed(text) : try Self.whole(text)
    if answer.text.isEmpty { throw ModelFailure(description: "the model returned an empty response") }
    return answer
  }

  private static func errorText(_ bytes: ByteBuffer, _ status: HTTPResponseStatus) -> String {
    let parsed = try? JSONValue(parsing: Array(bytes.readableBytesView))
    return parsed?.at("error", "message")?.stringValue ?? status.reasonPhrase
  }

  static func streamed(_ text: String) throws -> ModelAnswer {
    var answer = ModelAnswer()
    for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("data:") {
      let data = line.dropFirst(5).trimmingCharacters(in: .whitespaces)
      if data == "[DONE]" { break }
      let chunk = try JSONValue(parsing: data)
      if let message = chunk.at("error", "message")?.stringValue { throw ModelFailure(description: message) }
      answer.responseID = chunk["id"]?.stringValue ?? answer.responseID
      let choice = chunk["choices"]?[0]
      if let piece = choice?.at("delta", "content")?.stringValue, !piece.isEmpty { answer.pieces.append(piece) }
      if let reason = choice?["finish_reason"]?.stringValue { answer.stopReason = reason }
      take(chunk["usage"], into: &answer)
    }
    return answer
  }

  static func whole(_ text: String) throws -> ModelAnswer {
    let parsed = try JSONValue(parsing: text)
    var answer = ModelAnswer()
    answer.responseID = parsed["id"]?.stringValue
    let choice = parsed["choices"]?[0]
    if let content = choice?.at("message", "content")?.stringValue { answer.pieces = [content] }
    answer.stopReason = choice?["finish_reason"]?.stringValue ?? "stop"
    take(parsed["usage"], into: &answer)
    return answer
  }

  private static func take(_ usage: JSONValue?, into answer: inout ModelAnswer) {
    answer.inputTokens = usage?["prompt_tokens"]?.intValue ?? answer.inputTokens
    answer.outputTokens = usage?["completion_tokens"]?.intValue ?? answer.outputTokens
  }
}
