import Basics
import Testing

@testable import OpenClaw

@Suite("Secrets in an Instance's configuration")
struct InstanceConfigurationTests {
  private typealias Collected = InstanceConfiguration.Collected

  private static func ref(_ id: String) throws -> SecretRef { try SecretRef(source: .exec, provider: "aw", id: id) }

  private static func settings(_ secrets: [InstanceConfiguration.Collected] = []) -> InstanceConfiguration.Settings {
    var settings = InstanceConfiguration.Settings(
      port: 1, bind: .loopback,
      model: .init(provider: "fixture", baseURL: "http://127.0.0.1:1/v1", id: "echo-1", keyVariable: "KEY"))
    settings.resolvesSecrets = true
    settings.secrets = secrets
    return settings
  }

  @Test("the Gateway's token is resolved like other secrets from the release on that can, and of unknown ones too")
  func token() throws {
    for (version, isResolved) in [
      ("2026.2.26", false), ("2026.3.7-beta.1", false), ("2026.3.7", true), ("2026.9.5", true),
    ] {
      let release = try #require(GatewayVersion(version))
      #expect(InstanceConfiguration.resolvesGatewayToken(release) == isResolved, "\(version)")
    }
    #expect(InstanceConfiguration.resolvesGatewayToken(nil))
    var settings = Self.settings()
    let environment = InstanceConfiguration.make(settings, for: nil)
    #expect(environment.value(at: "gateway.auth.token.source") == "env")
    settings.gatewayToken = try Self.ref("instance/x/gateway-token")
    let document = InstanceConfiguration.make(settings, for: nil)
    #expect(
      document.value(at: "gateway.auth.token")
        == ["source": "exec", "provider": "aw", "id": "instance/x/gateway-token"])
    // Whoever writes the file, AW could not talk to the Gateway without these two.
    let held = InstanceConfiguration.held(document)
    #expect(held.keys.sorted() == ["gateway.auth.token", "secrets.providers.aw"])
    #expect(held["gateway.auth.token"] == document.value(at: "gateway.auth.token"))
    settings.resolvesSecrets = false
    settings.gatewayToken = nil
    #expect(InstanceConfiguration.held(InstanceConfiguration.make(settings, for: nil)).count == 1)
  }

  @Test("a model key that is no fixture is there by reference at its vendor, and agents run on a model that AW knows")
  func models() throws {
    let real = Collected(
      path: "models.providers.openai.apiKey", ref: try Self.ref("orgs/acme/models.providers.openai.apiKey#v2"),
      completions: "https://api.openai.com/v1")
    let document = InstanceConfiguration.make(Self.settings([real]), for: nil)
    let provider = document.value(at: "models.providers.openai")
    #expect(provider?["apiKey"]?["id"] == "orgs/acme/models.providers.openai.apiKey#v2")
    #expect(provider?["baseUrl"] == "https://api.openai.com/v1" && provider?["models"] == [])
    #expect(document.value(at: "agents.defaults.model.primary") == "fixture/echo-1")
    #expect(!Self.settings([real]).hasOwnModel)

    var fixture = real
    (fixture.path, fixture.model) = ("models.providers.anthropic.apiKey", "echo-1")
    let both = InstanceConfiguration.make(Self.settings([real, fixture]), for: nil)
    #expect(both.value(at: "agents.defaults.model.primary") == "anthropic/echo-1")
    #expect(both.value(at: "models.providers")?.objectValue?.keys.sorted() == ["anthropic", "openai"])
    #expect(Self.settings([real, fixture]).hasOwnModel)

    // One that nobody could ask is left out.
    var closed = real
    closed.completions = nil
    #expect(InstanceConfiguration.make(Self.settings([closed]), for: nil).value(at: "models.providers.openai") == nil)
  }

  @Test("a channel is switched on when all that it needs is there and good, and else it is said why not")
  func channels() throws {
    func secret(_ path: String, _ hindrance: String? = nil) throws -> Collected {
      Collected(path: path, ref: try Self.ref("orgs/acme/\(path)#v1"), completions: nil, hindrance: hindrance)
    }
    let table: [([Collected], String, String?)] = [
      ([try secret("channels.telegram.botToken")], "telegram", nil),
      ([try secret("channels.discord.token")], "discord", nil),
      ([try secret("channels.telegram.botToken", "it is not good")], "telegram", "it is not good"),
      ([try secret("channels.slack.botToken")], "slack", "it needs channels.slack.appToken too"),
      ([try secret("channels.slack.botToken"), try secret("channels.slack.appToken")], "slack", nil),
      (
        [try secret("channels.slack.botToken"), try secret("channels.slack.appToken", "nobody looked")], "slack",
        "nobody looked"
      ),
      ([try secret("channels.carrier.pigeon")], "carrier", "AW does not know what it needs"),
    ]
    for (secrets, channel, reason) in table {
      #expect(
        ChannelDecision.decide(secrets) == [.init(channel: channel, isOn: reason == nil, reason: reason)], "\(channel)")
      let block = InstanceConfiguration.make(Self.settings(secrets), for: nil).value(at: "channels.\(channel)")
      #expect(block?["enabled"] == .bool(reason == nil))
      #expect(block?.objectValue?.count == secrets.count + 1)
    }
    #expect(ChannelDecision.decide([]).isEmpty)
  }
}
