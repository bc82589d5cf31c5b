import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOHTTP1

/// The simulated vendors: where fixtures are validated, and the only place they are ever sent to.
public struct FixtureVendors: Sendable {
  let url: String

  /// - Parameter url: `http://host:port/vendors`; each vendor has its name behind it.
  public init(url: URL) {
    let text = url.absoluteString
    self.url = text.hasSuffix("/") ? String(text.dropLast()) : text
  }

  static var missing: AWError {
    AWError(
      .validatorMissing, "This control plane has no simulated vendors, so fixtures cannot be validated.",
      next: "Start it with --fixture-vendors URL, or use 'aw up'.")
  }
}

/// Asks vendors. A fixture goes to the simulated ones by its type; no other reference has a way to be asked about here.
struct VendorCourier: Sendable {
  let vendors: FixtureVendors
  var within = CredentialLimits.vendorWithin

  /// One validation: the value, then a corrupted copy, which is tried only when the value was let in. A vendor that
  /// counts refusals (Discord bans for 10,000 in 10 minutes) is so asked at most once in vain.
  func validate(
    _ value: Secret, of credential: FixtureSecretRef, _ surface: CredentialSurface
  ) async -> (outcome: Validation.Outcome, reason: String, identity: String?) {
    let check = VendorCheck(surface: surface)
    let real = await ask(check, value)
    var control: VendorCheck.Reading?
    var identity: String?
    if case .accepted(let found) = real {
      identity = found
      if let corrupted = ValidationVerdict.corrupted(value) { control = await ask(check, corrupted) }
    }
    let (outcome, reason) = ValidationVerdict.outcome(of: real, control: control)
    return (outcome, reason, outcome == .valid ? identity : nil)
  }

  private func ask(_ check: VendorCheck, _ value: Secret) async -> VendorCheck.Reading {
    let question = check.question(with: value)
    var request = HTTPClientRequest(url: question.path.withText { "\(vendors.url)/\(check.vendor)\($0)" })
    for (name, value) in question.headers { value.withText { request.headers.add(name: name, value: $0) } }
    request.headers.add(name: "user-agent", value: "AW")
    let prepared = request
    // One client a question: validations are rare, and nothing of them is to outlive them.
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    let reading: VendorCheck.Reading
    do {
      let answer = try await Deadline.run(within) {
        let response = try await client.execute(prepared, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: CredentialLimits.answerBytesMax)
        return VendorCheck.Answer(
          status: Int(response.status.code),
          headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first },
          body: Array(body.readableBytesView))
      }
      reading = answer.map { check.reading(of: $0) } ?? .unclear("no answer within \(within.words)")
    } catch {
      // The error can hold the address, and with that a token.
      reading = .unclear("the vendor cannot be reached")
    }
    // What it still holds is closed; it has nothing more to say.
    try? await client.shutdown()
    return reading
  }
}
