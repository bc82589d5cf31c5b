import Addresses
import Basics
import Link
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import OpenClaw

/// Reaches an Instance at its public hostname: TLS, and the service token of Cloudflare Access on each request.
public struct HostnameWay: ControlWay {
  static let clientIDField = "CF-Access-Client-Id"
  static let clientSecretField = "CF-Access-Client-Secret"

  private let hostname: PublicHostname
  private let tls: NIOSSLContext
  private let resolver: AddressResolver
  public let heading: RequestHeading

  /// - Throws: `pathInvalid` when the authority's certificates cannot be read, or a half of the token is no header's
  ///   value.
  public init(
    _ hostname: PublicHostname, clientID: Secret, clientSecret: Secret, resolver: AddressResolver = .system
  ) throws {
    self.hostname = hostname
    self.resolver = resolver
    for half in [clientID, clientSecret] {
      guard half.withText({ !$0.isEmpty && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }) else {
        throw PathErrors.invalid("A half of the service token is empty, or holds what cannot stand in a header.")
      }
    }
    heading = RequestHeading(
      host: hostname.host, fields: [(Self.clientIDField, clientID), (Self.clientSecretField, clientSecret)])
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = ["http/1.1"]
    if let authority = hostname.authority {
      do {
        let certificates = try NIOSSLCertificate.fromPEMBytes(Array(authority.utf8))
        guard !certificates.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
        configuration.trustRoots = .certificates(certificates)
      } catch {
        throw PathErrors.invalid("The authority of \(hostname.text) holds no certificate in PEM form.")
      }
    }
    tls = try NIOSSLContext(configuration: configuration)
  }

  public func look() async throws -> JSONValue {
    let (channel, address) = try await connect()
    channel.close(promise: nil)
    return [
      "path": .string(PathKind.cloudflared.rawValue), "hostname": .string(hostname.text),
      "address": .string(address.description),
    ]
  }

  public func dial<Value: Sendable>(
    _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Value>
  ) async throws -> Value {
    let (channel, _) = try await connect()
    // Nothing is read before a request is written, so nothing was missed until now.
    return try await channel.eventLoop.flatSubmit { initialize(channel) }.get()
  }

  // MARK: - Connecting

  /// Connects to an address that was checked, never to a name: a name asked twice may answer twice.
  private func connect() async throws -> (any Channel, NetworkAddress) {
    var last: (any Error)?
    for address in try await addresses().prefix(PathLimits.addressesMax) {
      do {
        return (try await connect(to: address), address)
      } catch let failure as PathFailure where failure.lossClass == .tlsFailed {
        throw failure
      } catch {
        last = error
      }
    }
    throw last ?? unresolved("it has no address")
  }

  private func addresses() async throws -> [NetworkAddress] {
    let found: AddressResolver.Found
    do {
      found = try await resolver.find(hostname.name, allowing: hostname.allowsPrivate.compactMap { NetworkRange($0) })
    } catch {
      throw unresolved("\(error)")
    }
    if found.checked.isEmpty, !found.refused.isEmpty {
      throw PathFailure(
        AWError(
          .pathAddressRefused,
          "The hostname \(hostname.name) is \(found.refused.prefix(3).joined(separator: ", ")). "
            + "AW goes there only when told to.",
          next: "If this is meant, name the range with --allow-private, as narrow as it can be."), isRefusal: true)
    }
    return found.checked.map(\.address)
  }

  private func unresolved(_ why: String) -> PathFailure {
    PathFailure(
      AWError(
        .pathUnreachable, "The hostname \(hostname.name) does not resolve: \(why).",
        next: "Check the name, and the resolver of the control plane's machine."), .dnsFailure)
  }

  private func connect(to address: NetworkAddress) async throws -> any Channel {
    let (tls, hostname) = (tls, hostname)
    let channel: any Channel
    let handshake: EventLoopFuture<Void>
    do {
      (channel, handshake) = try await OpeningTimes.measure(.tcp) {
        try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
          .connectTimeout(.milliseconds(PathLimits.connectWithin.milliseconds))
          .channelOption(.socketOption(.tcp_nodelay), value: 1)
          .connect(host: address.description, port: hostname.port) { channel in
            channel.eventLoop.makeCompletedFuture {
              let shaken = channel.eventLoop.makePromise(of: Void.self)
              try channel.pipeline.syncOperations.addHandlers([
                try NIOSSLClientHandler(context: tls, serverHostname: hostname.name), HandshakeHandler(shaken),
                AccessHandler(hostname),
              ])
              return (channel, shaken.futureResult)
            }
          }
      }
    } catch {
      throw unreached(address, error)
    }
    let limit = channel.eventLoop.scheduleTask(in: .milliseconds(PathLimits.connectWithin.milliseconds)) {
      channel.close(promise: nil)
    }
    defer { limit.cancel() }
    do {
      try await OpeningTimes.measure(.tls) { try await handshake.get() }
      return channel
    } catch {
      channel.close(promise: nil)
      throw untrusted(error)
    }
  }

  private func unreached(_ address: NetworkAddress, _ error: any Error) -> PathFailure {
    let code = (error as? IOError)?.errnoCode ?? Self.codes(error).first
    let (what, lossClass): (String, LossClass) =
      switch code {
      case ECONNREFUSED: ("nothing listens there", .connectRefused)
      case ENETUNREACH, EHOSTUNREACH: ("there is no route to it", .networkUnreachable)
      case ECONNRESET: ("the connection was reset", .networkReset)
      default: ("it does not answer", .connectTimeout)
      }
    return PathFailure(
      AWError(
        .pathUnreachable, "The edge of \(hostname.text) at \(address) is not reached: \(what).",
        next: "Check the way from the control plane's machine to it; AW tries again by itself.", cause: error),
      lossClass)
  }

  private static func codes(_ error: any Error) -> [Int32] {
    (error as? NIOConnectionError)?.connectionErrors.compactMap { ($0.error as? IOError)?.errnoCode } ?? []
  }

  private func untrusted(_ error: any Error) -> PathFailure {
    let text = "\(error)"
    let what =
      if case let error as NIOSSLExtraError = error, error == .failedToValidateHostname {
        "its certificate is for another name"
      } else if text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate") {
        "its certificate is not trusted"
      } else if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
        "it does not speak TLS"
      } else {
        "the handshake ended"
      }
    return PathFailure(
      AWError(
        .pathTLSFailed, "The TLS of \(hostname.text) failed: \(what).",
        next: "If it has an authority of its own, give its certificate with --ca-file. Nothing was sent.",
        cause: error), .tlsFailed)
  }
}

/// Tells when the handshake is over, or what it failed with.
private final class HandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer

  private let promise: EventLoopPromise<Void>
  private var isOver = false

  init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

  private func end(_ result: Result<Void, any Error>) {
    guard !isOver else { return }
    isOver = true
    promise.completeWith(result)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case TLSUserEvent.handshakeCompleted = event { end(.success(())) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    end(.failure(error))
    context.fireErrorCaught(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(.failure(ChannelError.eof))
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { end(.failure(ChannelError.ioOnClosedChannel)) }
}

/// Reads the head of the first answer, and lets it through unless the path itself gave it.
private final class AccessHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let hostname: PublicHostname
  private var held: ByteBuffer? = ByteBuffer()

  init(_ hostname: PublicHostname) { self.hostname = hostname }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard var head = held else { return context.fireChannelRead(data) }
    var bytes = unwrapInboundIn(data)
    head.writeBuffer(&bytes)
    held = head
    let end = Array("\r\n\r\n".utf8)
    guard let range = head.readableBytesView.firstRange(of: end) else {
      if head.readableBytes > PathLimits.answerHeadBytesMax { release(context) }
      return
    }
    let text = String(decoding: head.readableBytesView[..<range.lowerBound], as: UTF8.self)
    guard let failure = AccessAnswer.failure(text, hostname: hostname) else { return release(context) }
    held = ByteBuffer()
    context.fireErrorCaught(failure)
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    release(context)
    context.fireChannelInactive()
  }

  private func release(_ context: ChannelHandlerContext) {
    guard let bytes = held else { return }
    held = nil
    guard bytes.readableBytes > 0 else { return }
    context.fireChannelRead(wrapInboundOut(bytes))
    context.fireChannelReadComplete()
  }
}
