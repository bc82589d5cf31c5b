import Basics
import NIOCore
import NIOWebSocket

/// The WebSocket below the protocol, the last handler of its channel: frames of the protocol in and answers out, pings
/// answered, the close remembered.
///
/// Everything is done where the bytes arrive, on the event loop: a check of an Instance is a handful of small frames,
/// and handing each from task to task cost more than what is in it.
final class GatewaySocket: ChannelInboundHandler {
  typealias InboundIn = WebSocketFrame
  typealias OutboundOut = WebSocketFrame

  private let conversation: GatewayConversation
  /// With what the Gateway closed it.
  private var closed: (code: Int, reason: String)?
  /// What broke it.
  private var failure: (any Error)?

  init(_ conversation: GatewayConversation) { self.conversation = conversation }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = unwrapInboundIn(data)
    switch frame.opcode {
    case .text:
      // What is no JSON is skipped, as the Gateway does.
      guard let parsed = try? GatewayFrame(parsing: frame.unmaskedData.readableBytesView) else { return }
      if let answer = conversation.hear(parsed) { write(Self.frame(answer), context) }
    case .ping:
      write(WebSocketFrame(fin: true, opcode: .pong, maskKey: .random(), data: frame.unmaskedData), context)
    case .connectionClose:
      var data = frame.unmaskedData
      let code = data.readInteger(as: UInt16.self).map(Int.init) ?? 1_005
      closed = closed ?? (code, String(buffer: data))
      context.close(promise: nil)
    default: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failure = failure ?? error
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    conversation.end(explanation)
    context.fireChannelInactive()
  }

  /// How the socket ended, for a person. One that breaks does so with an error of whatever is below; what a person
  /// needs is that it broke, unless that error speaks to people itself.
  private var explanation: any Error {
    if let failure, failure is AWError || failure is any ExplainedError { return failure }
    let (code, reason) = closed ?? (1_006, failure.map { "\(type(of: $0))" } ?? "")
    let said = reason.isEmpty ? "without a reason" : "saying \(reason.quoted)"
    let (error, next) = Self.meaning(of: code, reason)
    return AWError(error, "The Gateway closed the connection with code \(code), \(said).", next: next)
  }

  /// What a close code says. Only one that the Gateway chose itself says more than that the connection is gone.
  static func meaning(of code: Int, _ reason: String) -> (ErrorCode, next: String) {
    switch code {
    case 1_002: (.gatewayProtocol, "Use a version of OpenClaw that this AW supports.")
    // A Gateway whose handler is not loaded yet says so with the code of a broken rule.
    case 1_008 where !reason.contains("loading"):
      (.gatewayRefused, "What AW did is against the Gateway's rules, as it says; look at the Instance's log.")
    case 1_008, 1_012, 1_013: (.gatewayNotReady, "It is restarting or starting; AW tries again by itself.")
    case 4_001:
      (
        .gatewayRefused,
        "The token or device was changed on the Instance; provision it again, or restore what AW stored."
      )
    default: (.gatewayUnreachable, "Look at the Instance's log.")
    }
  }

  private func write(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
  }

  // MARK: - From elsewhere

  /// Sends a text. A write that fails closes the channel, and everybody who waits is then told.
  static func send(_ text: String, on channel: any Channel) { channel.writeAndFlush(frame(text), promise: nil) }

  /// Says goodbye first, so that the Gateway does not take it for a lost connection.
  static func close(_ channel: any Channel) {
    var data = ByteBuffer()
    data.write(webSocketErrorCode: .normalClosure)
    let goodbye = WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: data)
    channel.writeAndFlush(goodbye).whenComplete { _ in channel.close(promise: nil) }
  }

  private static func frame(_ text: String) -> WebSocketFrame {
    WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(string: text))
  }
}
