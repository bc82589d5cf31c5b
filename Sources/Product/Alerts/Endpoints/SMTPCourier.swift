import Addresses
import Basics
import NIOCore
import NIOPosix
import NIOSSL

/// Hands one mail to a mail server at an address that was checked.
struct SMTPCourier: Sendable {
  let addresses: [AddressResolver.Checked]
  let form: EmailForm
  let trust: TLSConfiguration
  let password: Secret?
  var times = DeliveryTimes()

  func send(_ message: String) async -> DeliveryOutcome {
    let mail = SMTPSession.Mail(from: form.from, recipients: form.recipients, message: message)
    let context: NIOSSLContext
    do {
      context = try NIOSSLContext(configuration: trust)
    } catch {
      return .retry(after: nil, detail: DeliveryFailure.words(error))
    }
    var last = DeliveryOutcome.retry(after: nil, detail: "no address to connect to")
    for next in addresses.prefix(EndpointLimits.addressesMax) {
      do {
        return try await talk(mail, to: next.address, context)
      } catch {
        last = .retry(after: nil, detail: DeliveryFailure.words(error))
        guard DeliveryFailure.isBeforeConnecting(error) else { return last }
      }
    }
    return last
  }

  private func talk(
    _ mail: SMTPSession.Mail, to address: NetworkAddress, _ context: NIOSSLContext
  ) async throws -> DeliveryOutcome {
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    let outcome = loop.makePromise(of: DeliveryOutcome.self)
    let (form, credentials, times) = (form, credentials, times)
    let bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(.nanoseconds(times.connect.milliseconds * 1_000_000))
    do {
      let channel = try await bootstrap.connect(
        to: try SocketAddress(ipAddress: address.description, port: form.server.port)
      ) { channel in
        channel.eventLoop.makeCompletedFuture {
          let session = SMTPSession(mail, encryption: form.encryption, credentials: credentials)
          let tls = SMTPHandler.TLS(context: context, serverName: form.server.literal == nil ? form.server.host : nil)
          let handler = SMTPHandler(session, tls: tls, times: times, outcome: outcome)
          if form.encryption == .implicit { try channel.pipeline.syncOperations.addHandler(tls.handler()) }
          try channel.pipeline.syncOperations.addHandler(handler)
          return channel
        }
      }
      defer { channel.close(promise: nil) }
      return try await outcome.futureResult.get()
    } catch {
      // When no connection came about, nobody else completes it.
      outcome.fail(error)
      throw error
    }
  }

  private var credentials: (user: String, password: Secret)? {
    guard let user = form.user, let password else { return nil }
    return (user, password)
  }
}

/// Carries a session out on its connection, all on the connection's own loop: nothing that was read in the clear can be
/// taken for private.
final class SMTPHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  struct TLS: Sendable {
    let context: NIOSSLContext
    let serverName: String?

    func handler() throws -> NIOSSLClientHandler {
      try NIOSSLClientHandler(context: context, serverHostname: serverName)
    }
  }

  private var session: SMTPSession
  private var parser = SMTPReplyParser()
  private let tls: TLS
  private let times: DeliveryTimes
  private let outcome: EventLoopPromise<DeliveryOutcome>
  private var isOver = false
  private var replyTimer: Scheduled<Void>?
  private var wholeTimer: Scheduled<Void>?

  init(_ session: SMTPSession, tls: TLS, times: DeliveryTimes, outcome: EventLoopPromise<DeliveryOutcome>) {
    self.session = session
    self.tls = tls
    self.times = times
    self.outcome = outcome
  }

  func channelActive(context: ChannelHandlerContext) {
    session.name = SMTPHandler.name(of: context.channel)
    expectReply(context)
    wholeTimer = timer(times.whole, "the server did not take the mail", context)
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isOver else { return }
    do {
      let replies = try parser.feed(unwrapInboundIn(data).readableBytesView)
      for (index, reply) in replies.enumerated() where !isOver {
        let isLast = index == replies.count - 1 && parser.isEmpty
        try perform(session.receive(reply), isLast: isLast, context)
      }
    } catch is SMTPReplyParser.Broken {
      finish(.retry(after: nil, detail: "the server does not speak SMTP"), context)
    } catch {
      finish(.retry(after: nil, detail: DeliveryFailure.words(error)), context)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    finish(.retry(after: nil, detail: DeliveryFailure.words(error)), context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    finish(.retry(after: nil, detail: "the server closed the connection"), context)
    context.fireChannelInactive()
  }

  /// The address of this end, as RFC 5321 section 4.1.3 writes it.
  private static func name(of channel: any Channel) -> String {
    guard let address = channel.localAddress, let text = address.ipAddress else { return "[127.0.0.1]" }
    return address.protocol == .inet6 ? "[IPv6:\(text)]" : "[\(text)]"
  }

  private func perform(_ action: SMTPSession.Action, isLast: Bool, _ context: ChannelHandlerContext) throws {
    switch action {
    case .send(let text):
      expectReply(context)
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    case .startTLS:
      // Whatever came behind the consent came in the clear, from anybody.
      guard isLast else {
        return finish(.retry(after: nil, detail: "TLS: the server spoke before TLS had begun"), context)
      }
      try context.pipeline.syncOperations.addHandler(try tls.handler(), position: .first)
      try perform(session.becamePrivate(), isLast: true, context)
    case .finish(let outcome): finish(outcome, context)
    }
  }

  private func finish(_ result: DeliveryOutcome, _ context: ChannelHandlerContext) {
    guard !isOver else { return }
    isOver = true
    replyTimer?.cancel()
    wholeTimer?.cancel()
    outcome.succeed(result)
    guard context.channel.isActive else { return }
    // Politeness: the outcome stands, so nobody waits for the answer.
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "QUIT\r\n")), promise: nil)
    context.close(promise: nil)
  }

  /// The server has so long for its next reply.
  private func expectReply(_ context: ChannelHandlerContext) {
    replyTimer?.cancel()
    replyTimer = timer(times.answer, "the server did not answer", context)
  }

  private func timer(_ limit: Duration, _ what: String, _ context: ChannelHandlerContext) -> Scheduled<Void> {
    context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(limit.milliseconds * 1_000_000)) {
      self.finish(.retry(after: nil, detail: "\(what) within \(limit.words)"), context)
    }
  }
}
