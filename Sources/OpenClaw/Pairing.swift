import Basics

/// Makes AW's own device known to an Instance, with the narrowest scopes. The shared token is used here and nowhere
/// else.
public enum Pairing {
  public struct Paired: Sendable {
    public let deviceToken: Secret
    public let version: String
    public let scopes: [String]
    /// The Gateway's own device id, to be pinned: a changed one means another Instance behind the same port.
    public let gatewayDevice: String?
  }

  /// Connects with the shared token. From the Host's own loopback the Gateway pairs the device at once; from a
  /// container's network it asks for approval, which `approve` gives on the Host, once: another try would replace the
  /// request.
  ///
  /// - Throws: `gatewayPairingRequired` when the approval did not help, or what the Gateway said.
  public static func pair(
    through dialer: some ByteDialer, sharedToken: Secret, device: DeviceIdentity, version: String,
    approve: @Sendable (_ requestID: String) async throws -> Void
  ) async throws -> Paired {
    let credentials = GatewayCredentials(token: sharedToken, device: device)
    let options = ConnectOptions.bootstrap(version: version)
    do {
      return try await connect(through: dialer, credentials, options)
    } catch let failure as GatewayFailure {
      guard case .pairingRequired(let request?, _) = failure.kind else { throw failure }
      try await approve(request)
    }
    return try await connect(through: dialer, credentials, options)
  }

  private static func connect(
    through dialer: some ByteDialer, _ credentials: GatewayCredentials, _ options: ConnectOptions
  ) async throws -> Paired {
    let client = try await GatewayClient.connect(through: dialer, credentials: credentials, options: options)
    defer { client.close() }
    guard let token = client.hello.deviceToken else {
      throw AWError(
        .gatewayPairingRequired, "The Gateway let AW in, but gave its device no token.",
        next: "Look at the Instance's pairing settings.")
    }
    let identity = try await client.call("gateway.identity.get")
    return Paired(
      deviceToken: token, version: client.hello.version, scopes: client.hello.scopes,
      gatewayDevice: identity["deviceId"]?.stringValue)
  }
}
