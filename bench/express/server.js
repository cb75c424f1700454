// SPDX-License-Identifier: Apache-2.0
//
// server.js PORT, REDIS_URL in the environment: express-session with connect-redis, set up as their own pages say.
//
//   /login/USER   makes a session
//   /check        200 to who is logged in, else 401: what latchkey is compared with
import express from 'express';
import session from 'express-session';
import { RedisStore } from 'connect-redis';
import { createClient } from 'redis';

const client = createClient({ url: process.env.REDIS_URL });
client.on('error', (error) => console.error(String(error)));
await client.connect();

const app = express();
app.use(session({
    store: new RedisStore({ client, prefix: 'express:' }),
    secret: 'only for measuring',
    resave: false,
    saveUninitialized: false,
}));
app.get('/login/:user', (request, response) => {
    request.session.user = { id: request.params.user, name: 'Ada Lovelace', roles: ['customer'] };
    response.status(204).end();
});
app.get('/check', (request, response) => {
    const user = request.session.user;
    if (!user)
        return response.status(401).end();
    return response.set('Remote-User', user.id).status(200).end();
});
app.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
