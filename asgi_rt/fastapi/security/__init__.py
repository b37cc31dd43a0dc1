"""Dependencies that take a client's credentials from the request, and say so in OpenAPI."""

from asgi_rt.fastapi.security.api_key import APIKeyCookie as APIKeyCookie
from asgi_rt.fastapi.security.api_key import APIKeyHeader as APIKeyHeader
from asgi_rt.fastapi.security.api_key import APIKeyQuery as APIKeyQuery
from asgi_rt.fastapi.security.http import (
    HTTPAuthorizationCredentials as HTTPAuthorizationCredentials,
)
from asgi_rt.fastapi.security.http import HTTPBasic as HTTPBasic
from asgi_rt.fastapi.security.http import HTTPBasicCredentials as HTTPBasicCredentials
from asgi_rt.fastapi.security.http import HTTPBearer as HTTPBearer
from asgi_rt.fastapi.security.http import HTTPDigest as HTTPDigest
from asgi_rt.fastapi.security.oauth2 import OAuth2 as OAuth2
from asgi_rt.fastapi.security.oauth2 import (
    OAuth2AuthorizationCodeBearer as OAuth2AuthorizationCodeBearer,
)
from asgi_rt.fastapi.security.oauth2 import OAuth2PasswordBearer as OAuth2PasswordBearer
from asgi_rt.fastapi.security.oauth2 import OAuth2PasswordRequestForm as OAuth2PasswordRequestForm
from asgi_rt.fastapi.security.oauth2 import (
    OAuth2PasswordRequestFormStrict as OAuth2PasswordRequestFormStrict,
)
from asgi_rt.fastapi.security.oauth2 import SecurityScopes as SecurityScopes
from asgi_rt.fastapi.security.open_id_connect_url import OpenIdConnect as OpenIdConnect
