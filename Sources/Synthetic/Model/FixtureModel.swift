import Basics

/// What the fixture model says: the same words for the same question.
enum FixtureModel {
  /// The one model it lists.
  static let name = "echo-1"

  /// `reply with exactly: TOKEN` gets the token; everything else is echoed.
  static func reply(to messages: [JSONValue]) -> String {
    let last = messages.last { $0["role"]?.stringValue == "user" }.map(text) ?? ""
    if let match = last.firstMatch(of: /(?i)reply with exactly:\s*["'`]?([^\s"'`]+)/) {
      let token = String(match.1)
      return token.hasSuffix(".") ? String(token.dropLast()) : token
    }
    return "Echo: " + last
  }

  /// The pieces in which a streamed reply goes out: the first word, then the rest.
  static func pieces(_ reply: String) -> [String] {
    guard let space = reply.firstIndex(where: \.isWhitespace) else { return [reply] }
    return [String(reply[..<space]), String(reply[space...])]
  }

  /// Words stand for tokens: the numbers only have to be steady.
  static func tokens(_ text: String) -> Int64 { Int64(text.split(whereSeparator: \.isWhitespace).count) }

  private static func text(_ message: JSONValue) -> String {
    if let text = message["content"]?.stringValue { return text }
    let parts = message["content"]?.arrayValue ?? []
    return parts.compactMap { $0["text"]?.stringValue }.joined(separator: "\n")
  }

  // MARK: Answers

  struct Answer: Equatable {
    var status: Int
    var contentType = "application/json"
    var body: String
  }

  static func answer(
    method: String, path: String, authorization: String?, key: Secret?, body: [UInt8], seconds: Int64
  ) -> Answer {
    if let key {
      let sent = authorization.flatMap { $0.hasPrefix("Bearer ") ? Secret(String($0.dropFirst(7))) : nil }
      guard let sent, key.equals(sent) else { return failure(401, "invalid_api_key", "Incorrect API key provided.") }
    }
    switch (method, path) {
    case ("GET", "/v1/models"):
      let model: JSONValue = ["id": .string(name), "object": "model", "created": 0, "owned_by": "fixture"]
      return Answer(status: 200, body: (["object": "list", "data": [model]] as JSONValue).canonical)
    case ("POST", "/v1/chat/completions"):
      guard let request = try? JSONValue(parsing: body), let messages = request["messages"]?.arrayValue else {
        return failure(400, "invalid_request_error", "The body must be JSON with messages.")
      }
      return completion(request, messages, seconds: seconds)
    default: return failure(404, "not_found", "Unknown request URL: \(method) \(path)")
    }
  }

  private static func failure(_ status: Int, _ code: String, _ message: String) -> Answer {
    let error: JSONValue = ["message": .string(message), "type": "invalid_request_error", "code": .string(code)]
    return Answer(status: status, body: (["error": error] as JSONValue).canonical)
  }

  private static func completion(_ request: JSONValue, _ messages: [JSONValue], seconds: Int64) -> Answer {
    let reply = reply(to: messages)
    let asked = messages.map { tokens(text($0)) }.reduce(0, +)
    let usage: JSONValue = [
      "prompt_tokens": .integer(asked), "completion_tokens": .integer(tokens(reply)),
      "total_tokens": .integer(asked + tokens(reply)),
    ]
    let base: JSONValue = [
      "id": "c1", "created": .integer(seconds), "model": request["model"] ?? .string(name),
    ]
    guard request["stream"]?.boolValue == true else {
      let message: JSONValue = ["role": "assistant", "content": .string(reply)]
      let choice: JSONValue = ["index": 0, "message": message, "finish_reason": "stop"]
      let whole = base.merging(["object": "chat.completion", "choices": [choice], "usage": usage])
      return Answer(status: 200, body: whole.canonical)
    }
    func chunk(_ delta: JSONValue, finish: JSONValue = .null) -> JSONValue {
      let choice: JSONValue = ["index": 0, "delta": delta, "finish_reason": finish]
      return base.merging(["object": "chat.completion.chunk", "choices": [choice]])
    }
    var chunks = [chunk(["role": "assistant"])]
    chunks += pieces(reply).map { chunk(["content": .string($0)]) }
    chunks.append(chunk([:], finish: "stop").setting("usage", usage))
    let events = chunks.map { "data: \($0.canonical)\n\n" }.joined() + "data: [DONE]\n\n"
    return Answer(status: 200, contentType: "text/event-stream", body: events)
  }
}
