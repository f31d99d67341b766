"""What a publisher is told, by kind: `settings` are shown to its owner, `credentials` never."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from worker.addresses.errors import Refused
from worker.addresses.form import checked_target
from worker.addresses.policy import policy
from worker.publishing.models import PublisherKind
from worker.webhooks import signing

SHOPIFY_API_VERSION = "2026-10"
"""The newest stable version of the GraphQL Admin API that this was written against; each lives for a year."""

_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def _address(url: str) -> str:
    try:
        return checked_target(url).rstrip("/")
    except Refused as refused:
        raise ValueError(f"{refused}. {refused.help}") from None


def _target(url: str) -> str:
    _address(url)
    return url


Address = Annotated[str, Field(max_length=2000), AfterValidator(_address)]
Visible = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[\x21-\x7e]+$")]


class ShopifySettings(_Model):
    """A shop at Shopify."""

    shop: str = Field(max_length=300, description="`name.myshopify.com`.")
    api_version: str = Field(SHOPIFY_API_VERSION, pattern=r"^20\d\d-(01|04|07|10)$", description="Of the Admin API.")
    alt: str | None = Field(None, max_length=512, description="Alternative text of the video.")
    replace: bool = Field(True, description="Remove the video that was brought to the product before.")

    @field_validator("shop")
    @classmethod
    def _is_a_shop(cls, shop: str) -> str:
        if _SHOP.fullmatch(shop):
            return shop
        if policy().local and "://" in shop:  # a stand-in, in development alone
            return _address(shop)
        raise ValueError("give the shop's own address: name.myshopify.com")

    @property
    def base(self) -> str:
        """Without a slash at its end."""
        return self.shop if "://" in self.shop else f"https://{self.shop}"


class WooCommerceSettings(_Model):
    """A WordPress with WooCommerce."""

    url: Address = Field(description="Where WordPress is: `https://shop.example`.")
    meta_key: str = Field(
        "_vivideo_video", pattern=r"^[A-Za-z0-9_-]{1,100}$", description="Of the product's field for the address."
    )
    replace: bool = Field(True, description="Delete the video that was brought to the product before.")


class HttpSettings(_Model):
    """Any address."""

    url: Annotated[str, Field(max_length=2000), AfterValidator(_target)] = Field(description="Where the video is sent.")
    method: Literal["POST", "PUT"] = "POST"


class ShopifyCredentials(_Model):
    """Of an app of the shop, with `write_products`, `read_products` and `write_files`."""

    access_token: SecretStr = Field(min_length=1, max_length=400)

    @field_validator("access_token")
    @classmethod
    def _can_be_sent(cls, token: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("visible ASCII characters alone")
        return token


class WooCommerceCredentials(_Model):
    """A user of WordPress with an application password; products may have keys of their own."""

    user: str = Field(min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f]+$")
    application_password: SecretStr = Field(min_length=1, max_length=400)
    consumer_key: SecretStr | None = Field(None, min_length=1, max_length=400)
    consumer_secret: SecretStr | None = Field(None, min_length=1, max_length=400)

    @model_validator(mode="after")
    def _keys_are_a_pair(self) -> "WooCommerceCredentials":
        if (self.consumer_key is None) != (self.consumer_secret is None):
            raise ValueError("consumer_key and consumer_secret come together")
        return self


def _new_secret() -> SecretStr:
    return SecretStr(signing.new_secret())


class HttpCredentials(_Model):
    """What the video is signed with; made where none is given."""

    secret: SecretStr = Field(default_factory=_new_secret)

    @field_validator("secret")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr) -> SecretStr:
        signing.checked(secret.get_secret_value())
        return secret


Settings = ShopifySettings | WooCommerceSettings | HttpSettings
Credentials = ShopifyCredentials | WooCommerceCredentials | HttpCredentials

SETTINGS: Mapping[PublisherKind, type[Settings]] = {
    PublisherKind.SHOPIFY: ShopifySettings,
    PublisherKind.WOOCOMMERCE: WooCommerceSettings,
    PublisherKind.HTTP: HttpSettings,
}
CREDENTIALS: Mapping[PublisherKind, type[Credentials]] = {
    PublisherKind.SHOPIFY: ShopifyCredentials,
    PublisherKind.WOOCOMMERCE: WooCommerceCredentials,
    PublisherKind.HTTP: HttpCredentials,
}
SHOP: Mapping[PublisherKind, str] = {PublisherKind.SHOPIFY: "shop", PublisherKind.WOOCOMMERCE: "url"}
"""The setting that says whose ids are on file. An address of one's own gives none: the same receiver may move."""


def plain(credentials: Credentials) -> dict[str, Any]:
    """With its secrets as text: for the vault alone."""
    given = credentials.model_dump(exclude_none=True)
    return {name: one.get_secret_value() if isinstance(one, SecretStr) else one for name, one in given.items()}
