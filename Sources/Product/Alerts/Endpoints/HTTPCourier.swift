import Addresses
import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Carries requests of one delivery to an address that was checked.
///
/// The client is told the address (`dnsOverride`), so it does not resolve the name again; Host, SNI and the
/// check of the certificate stay with the name. It lives for one request: deliveries are rare, and a connection that
/// waits for the next one would outlive the check.
struct HTTPCourier: Sendable {
  let addresses: [AddressResolver.Checked]
  let trust: TLSConfiguration
  let secrets: [Secret]
  var times = DeliveryTimes()

  /// Sends the requests in order. A refusal of one does not keep the others back; a receiver that is not reached does.
  func send(_ requests: [DeliveryRequest], at now: Timestamp) async -> DeliveryOutcome {
    var outcomes: [DeliveryOutcome] = []
    var remaining = addresses.prefix(EndpointLimits.addressesMax)[...]
    for request in requests {
      let outcome = await send(request, through: &remaining, at: now)
      outcomes.append(outcome)
      switch outcome {
      case .delivered, .rejected: continue
      case .retry, .gone: return DeliveryOutcome.joined(outcomes, of: requests.count)
      }
    }
    return DeliveryOutcome.joined(outcomes, of: requests.count)
  }

  /// Tries the addresses one after the other while none of them takes a connection; the one that does is kept.
  private func send(
    _ request: DeliveryRequest, through addresses: inout ArraySlice<AddressResolver.Checked>, at now: Timestamp
  ) async -> DeliveryOutcome {
    while let next = addresses.first {
      switch await attempt(request, at: next.address, now) {
      case .answered(let outcome): return outcome
      case .unconnected(let why):
        guard addresses.count > 1 else { return .retry(after: nil, detail: why) }
        addresses = addresses.dropFirst()
      }
    }
    return .retry(after: nil, detail: "no address to connect to")
  }

  private enum Attempt {
    case answered(DeliveryOutcome)
    case unconnected(String)
  }

  private func attempt(_ request: DeliveryRequest, at address: NetworkAddress, _ now: Timestamp) async -> Attempt {
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration(request.url, address))
    let attempt = await execute(request, client, now)
    // What it still holds is closed; it has nothing more to say.
    try? await client.shutdown()
    return attempt
  }

  private func configuration(_ url: EndpointURL, _ address: NetworkAddress) -> HTTPClient.Configuration {
    var configuration = HTTPClient.Configuration(tlsConfiguration: trust, redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.timeout.connect = .nanoseconds(times.connect.milliseconds * 1_000_000)
    if url.literal == nil { configuration.dnsOverride = [url.host: address.description] }
    return configuration
  }

  private func execute(_ request: DeliveryRequest, _ client: HTTPClient, _ now: Timestamp) async -> Attempt {
    var message = HTTPClientRequest(url: request.url.text)
    message.method = .POST
    for (name, value) in request.headers { message.headers.add(name: name, value: value) }
    message.headers.add(name: "user-agent", value: "AW")
    message.body = .bytes(ByteBuffer(string: request.body))
    let prepared = message
    do {
      let outcome = try await Deadline.run(times.answer) {
        // The limit around this is the one that counts; the client's own only ends what it left behind.
        let response = try await client.execute(prepared, timeout: .seconds(120))
        // A long answer is none that anybody wants to read; the status counts all the same.
        let body = try? await response.body.collect(upTo: EndpointLimits.answerBytesMax)
        return DeliveryOutcome.of(
          status: Int(response.status.code), retryAfter: response.headers.first(name: "retry-after"),
          excerpt: body.flatMap { Excerpt.of(String(buffer: $0), without: secrets) }, at: now)
      }
      return .answered(outcome ?? .retry(after: nil, detail: "no answer within \(times.answer.words)"))
    } catch {
      return DeliveryFailure.isBeforeConnecting(error)
        ? .unconnected(DeliveryFailure.words(error))
        : .answered(.retry(after: nil, detail: DeliveryFailure.words(error)))
    }
  }
}

/// What went wrong on the way, in words that hold nothing of what was sent.
enum DeliveryFailure {
  static func words(_ error: any Error) -> String {
    if let tls = DeliveryTrust.words(error) { return tls }
    switch error {
    case let error as NIOConnectionError:
      return error.connectionErrors.first.map { words($0.error) } ?? "the receiver cannot be connected to"
    case let error as IOError: return socketWords(error.errnoCode)
    case ChannelError.connectTimeout: return "no connection within \(EndpointLimits.connectWithin.words)"
    case let error as HTTPClientError: return httpWords(error)
    case ChannelError.eof, ChannelError.inputClosed, ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed:
      return "the receiver closed the connection"
    default: return "the connection failed (\(type(of: error)))"
    }
  }

  /// Whether nothing was sent yet, so that another address may be tried.
  static func isBeforeConnecting(_ error: any Error) -> Bool {
    switch error {
    case is NIOConnectionError, ChannelError.connectTimeout: true
    case let error as HTTPClientError: error == .connectTimeout
    case let error as IOError: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL].contains(error.errnoCode)
    default: false
    }
  }

  private static func httpWords(_ error: HTTPClientError) -> String {
    switch error {
    case .connectTimeout: "no connection within \(EndpointLimits.connectWithin.words)"
    case .deadlineExceeded, .readTimeout, .writeTimeout, .getConnectionFromPoolTimeout:
      "no answer within \(EndpointLimits.answerWithin.words)"
    case .remoteConnectionClosed: "the receiver closed the connection without an answer"
    case .tlsHandshakeTimeout: "TLS: the handshake did not end in time"
    default: "the receiver does not answer as HTTP does"
    }
  }

  private static func socketWords(_ code: CInt) -> String {
    switch code {
    case ECONNREFUSED: "the connection was refused: nothing listens there"
    case ECONNRESET, EPIPE: "the connection was reset"
    case ETIMEDOUT: "the connection timed out"
    case EHOSTUNREACH, ENETUNREACH: "there is no route to the receiver"
    default: "the connection failed: \(String(cString: strerror(code)))"
    }
  }
}
