import Basics
import Foundation
import OpenClaw

/// A credential of an Org, as far as the configuration of its Instances needs it.
public struct CollectedSecret: Sendable, Equatable {
  /// The path of the key in OpenClaw's configuration: `models.providers.openai.apiKey`.
  public let path: String
  public let ref: SecretRef
  /// Of a model provider: where it is asked for completions, in OpenAI's form. A fixture is sent nowhere else.
  public let completions: URL?
  /// What belongs beside the key in the configuration and is no secret.
  public let settings: [String: String]
  /// A fixture's provider has the fixture model; which models another one offers is not AW's to know.
  public let isFixture: Bool
  /// Why a channel is not to be switched on with it, as the end of a sentence; nil when it may be.
  public let hindrance: String?

  public init(
    path: String, ref: SecretRef, completions: URL?, settings: [String: String] = [:], isFixture: Bool,
    hindrance: String?
  ) {
    self.path = path
    self.ref = ref
    self.completions = completions
    self.settings = settings
    self.isFixture = isFixture
    self.hindrance = hindrance
  }
}
