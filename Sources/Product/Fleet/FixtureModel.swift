import Basics
import Foundation
import Link

/// The model endpoint of synthetic Orgs, as the Instances reach it.
public struct FixtureModel: Sendable {
  /// The model's name at the endpoint.
  static let id = "echo-1"
  /// The Instance's environment variable that holds the key.
  static let keyVariable = "AW_FIXTURE_MODEL_KEY"

  let url: URL
  let key: Secret

  /// - Parameters:
  ///   - url: `http://host:port/v1`.
  ///   - key: the bearer key that it takes.
  public init(url: URL, key: Secret) {
    self.url = url
    self.key = key
  }

  func baseURL(for runtime: RuntimeKind) -> String { Self.address(url, for: runtime) }

  /// The address for an Instance of this runtime: inside a container the Host's loopback has another name.
  static func address(_ url: URL, for runtime: RuntimeKind) -> String {
    guard runtime == .docker, ["127.0.0.1", "localhost", "::1", "[::1]"].contains(url.host() ?? ""),
      var parts = URLComponents(url: url, resolvingAgainstBaseURL: false)
    else { return url.absoluteString }
    parts.host = "host.docker.internal"
    return parts.string ?? url.absoluteString
  }

  static var missing: AWError {
    AWError(
      .modelNotConfigured, "This control plane has no model endpoint for synthetic Orgs, so nothing can be verified.",
      next: "Start it with --fixture-model URL and --fixture-model-key-file FILE, or use 'aw up'.")
  }
}
