import Basics
import Foundation
import NIOCore
import NIOHTTP1

/// The two unauthenticated HTTP probes of a Gateway, judged by their JSON body: the Control UI answers unknown paths
/// with 200 and a page.
public enum Probe: String, Sendable, CaseIterable {
  case live = "/healthz"
  case ready = "/readyz"

  static let bodyBytesMax = 64 * 1024
  public static let deadline = Duration.seconds(5)

  /// What came back, as far as the verdict needs it.
  public struct Answer: Sendable, Equatable {
    public let status: Int
    public let contentType: String?
    public let body: [UInt8]

    public init(status: Int, contentType: String?, body: [UInt8]) {
      self.status = status
      self.contentType = contentType
      self.body = body
    }
  }

  public enum Verdict: Sendable, Equatable {
    case passed
    /// The Gateway says it is not ready, and names what fails.
    case notReady(failing: [String])
    case wrong(String)
  }

  /// Judges an answer.
  public func verdict(on answer: Answer) -> Verdict {
    guard answer.body.count <= Probe.bodyBytesMax else { return .wrong("the answer is longer than 64 KiB") }
    guard answer.contentType?.lowercased().hasPrefix("application/json") == true else {
      return .wrong("status \(answer.status) with \(answer.contentType ?? "no content type"), not JSON")
    }
    guard let body = try? JSONValue(parsing: answer.body) else { return .wrong("the answer is not complete JSON") }
    switch self {
    case .live:
      let live = answer.status == 200 && body["ok"]?.boolValue == true && body["status"]?.stringValue == "live"
      return live ? .passed : .wrong("status \(answer.status), and the body does not say that it is live")
    case .ready:
      if answer.status == 200, body["ready"]?.boolValue == true { return .passed }
      guard body["ready"]?.boolValue == false else {
        return .wrong("status \(answer.status), and the body does not say whether it is ready")
      }
      return .notReady(failing: body["failing"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }
  }

  /// Asks.
  ///
  /// - Throws: `gatewayUnreachable` when no answer comes before the deadline.
  public func ask(through dialer: some ByteDialer, deadline: Duration = deadline) async throws -> Answer {
    let channel = try await dialer.dial { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHTTPClientHandlers()
        return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(wrappingChannelSynchronously: channel)
      }
    }
    let timer = channel.channel.eventLoop.scheduleTask(in: .milliseconds(deadline.milliseconds)) {
      channel.channel.close(promise: nil)
    }
    defer { timer.cancel() }
    let heading = dialer.heading
    do {
      let answer: Answer? = try await channel.executeThenClose { inbound, outbound in
        let head = HTTPRequestHead(
          version: .http1_1, method: .GET, uri: rawValue, headers: heading.headers(["Connection": "close"]))
        do {
          try await outbound.write(.head(head))
          try await outbound.write(.end(nil))
        } catch {
          // A path that ended before the request was out says why in what it let be read.
          if let answer = try await Probe.collect(inbound) { return answer }
          throw error
        }
        return try await Probe.collect(inbound)
      }
      if let answer { return answer }
    } catch let error as any ExplainedError {
      throw error
    } catch {
      throw unanswered(error)
    }
    throw unanswered(nil)
  }

  private func unanswered(_ cause: (any Error)?) -> AWError {
    AWError(
      .gatewayUnreachable, "The Gateway did not answer \(rawValue).", next: "Look at the Instance's state and log.",
      cause: cause)
  }

  private static func collect(_ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>) async throws -> Answer? {
    var head: HTTPResponseHead?
    var body: [UInt8] = []
    for try await part in parts {
      switch part {
      case .head(let received): head = received
      case .body(let bytes):
        body += bytes.readableBytesView
        if body.count > bodyBytesMax { return head.map { answer($0, body) } }
      case .end: return head.map { answer($0, body) }
      }
    }
    return nil
  }

  private static func answer(_ head: HTTPResponseHead, _ body: [UInt8]) -> Answer {
    Answer(status: Int(head.status.code), contentType: head.headers.first(name: "content-type"), body: body)
  }
}
